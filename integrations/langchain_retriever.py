"""Offers a LangChain retriever that asks `edgeqa serve` for the passages of your documents closest to a question.

pip install langchain-core
edgeqa add manuals/ && edgeqa serve
python langchain_retriever.py "How deep may the pump be submerged?"
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForRetrieverRun


class EdgeQARetriever(BaseRetriever):
    """Gets passages by `GET /v1/closest`; no model is loaded for them, here or there."""

    url: str = os.environ.get("EDGEQA_URL", "http://127.0.0.1:8423")
    token: str = os.environ.get("EDGEQA_TOKEN", "")
    most: int = 5
    """How many passages to give."""

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
    ) -> list[Document]:
        address = f"{self.url}/v1/closest?{urlencode({'question': query, 'most': self.most})}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with urlopen(Request(address, headers=headers), timeout=60) as reply:  # noqa: S310 - your own server
            found = json.load(reply)["contexts"]
        return [
            Document(
                page_content=one["text"],
                id=one["address"],
                metadata={key: one[key] for key in ("source", "document", "heading", "address", "score")},
            )
            for one in found
        ]


if __name__ == "__main__":
    for document in EdgeQARetriever().invoke(sys.argv[1]):
        print(f"{document.id}\n{document.page_content}\n")
