"""Offers a Haystack component that asks `edgeqa serve`: it quotes answers, where ExtractiveReader needs PyTorch.

pip install haystack-ai
edgeqa serve
python haystack_reader.py "Who built the bridge?" "The bridge was built in 1932 by Dorman Long."
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from urllib.request import Request, urlopen

from haystack import Document, component
from haystack.dataclasses import ExtractedAnswer


@component
class EdgeQAReader:
    """Reads documents for a query, best first; given none, it asks what was added to edgeqa."""

    def __init__(self, url: str = "", token: str = "", top_k: int = 3) -> None:
        """Takes the server's address and a token, by default $EDGEQA_URL and $EDGEQA_TOKEN, and how many to give."""
        self.url = url or os.environ.get("EDGEQA_URL", "http://127.0.0.1:8423")
        self.token = token or os.environ.get("EDGEQA_TOKEN", "")
        self.top_k = top_k

    @component.output_types(answers=list[ExtractedAnswer])
    def run(
        self, query: str, documents: list[Document] | None = None, top_k: int | None = None
    ) -> dict[str, list[ExtractedAnswer]]:
        """Returns the answers, best first; none where the documents do not have one."""
        read = [document for document in documents or [] if document.content and document.content.strip()]
        if documents is not None and not read:
            return {"answers": []}
        body: dict[str, Any] = {"question": query, "top": top_k or self.top_k}
        if read:
            body["context"] = [document.content for document in read]
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = Request(f"{self.url}/v1/ask", json.dumps(body).encode(), headers)  # noqa: S310 - your own server
        with urlopen(request, timeout=60) as reply:  # noqa: S310 - as above
            found = json.load(reply)
        if found["answer"] is None:
            return {"answers": []}
        # Of several texts, the nth is called "text n"; of one, its name is "text".
        by_name = {f"text {number}" if len(read) > 1 else "text": one for number, one in enumerate(read, 1)}
        best = found.get("candidates") or [found]
        return {"answers": [_answer(query, one, by_name.get(one["source"])) for one in best]}


def _answer(query: str, one: dict[str, Any], document: Document | None) -> ExtractedAnswer:
    return ExtractedAnswer(
        query=query,
        score=one["probability"],
        data=one["answer"],
        document=document or Document(content=one["context"], meta={"file_path": one["source"]}),
        context=one["context"],
        document_offset=ExtractedAnswer.Span(one["source_start"], one["source_end"]) if document else None,
        context_offset=ExtractedAnswer.Span(one["start"], one["end"]),
        meta={"address": one["address"]},
    )


if __name__ == "__main__":
    texts = [Document(content=text) for text in sys.argv[2:]] or None
    for answer in EdgeQAReader().run(sys.argv[1], texts)["answers"]:
        print(f"{answer.score:.2f}  {answer.data}")
