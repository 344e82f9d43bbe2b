"""Offers a LlamaIndex retriever that asks `edgeqa serve` for the passages of your documents closest to a question.

pip install llama-index-core
edgeqa add manuals/ && edgeqa serve
python llamaindex_retriever.py "How deep may the pump be submerged?"
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode

if TYPE_CHECKING:
    from llama_index.core.schema import QueryBundle


class EdgeQARetriever(BaseRetriever):
    """Gets passages by `GET /v1/closest`; no model is loaded for them, here or there."""

    def __init__(self, url: str = "", token: str = "", most: int = 5) -> None:
        """Takes the server's address and a token, by default $EDGEQA_URL and $EDGEQA_TOKEN, and how many to give."""
        super().__init__()
        self._url = url or os.environ.get("EDGEQA_URL", "http://127.0.0.1:8423")
        self._token = token or os.environ.get("EDGEQA_TOKEN", "")
        self._most = most

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        address = f"{self._url}/v1/closest?{urlencode({'question': query_bundle.query_str, 'most': self._most})}"
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        with urlopen(Request(address, headers=headers), timeout=60) as reply:  # noqa: S310 - your own server
            found = json.load(reply)["contexts"]
        return [
            NodeWithScore(
                node=TextNode(
                    id_=one["address"],
                    text=one["text"],
                    metadata={key: one[key] for key in ("source", "document", "heading", "address")},
                ),
                score=one["score"],
            )
            for one in found
        ]


if __name__ == "__main__":
    for node in EdgeQARetriever().retrieve(sys.argv[1]):
        print(f"{node.node_id}\n{node.text}\n")
