"""Old pipelines keep working: `edgeqa.pipeline` in place of `transformers.pipeline("question-answering")`.

In: the calls that the pipeline of transformers 4.57.1 takes (it is gone from 5.3). Out: its dicts, with the same spans
and scores for the same network. Nothing here is imported before `edgeqa.pipeline` is used.

Each oddity of that pipeline is kept with `compatible=True`, the default, and is put right with `compatible=False`:

- Equal texts are one answer, their scores added up over places and windows, so that a score may exceed 1.
  False: a place counts once, with its best score; no two answers overlap.
- Each window has a softmax of its own. False: one distribution over all windows and "no answer" adds up to 1.
- "No answer" has the smallest score that a window gives it. False: it has its share of that distribution.
- For a large `top_k` among few tokens there are spans of score 0, some of them empty. False: only spans with text in
  them, or "no answer" if there is none.
- With `top_k` over 1 there is a list, or the answer itself if it is the only one. False: always a list.
- A list of one question gets an answer. False: it gets a list of one.
- "[SEP]" in a text is the separator itself. False: it is plain text.
- `max_question_len` is ignored. False: a longer question is cut.
- An argument that does not exist is ignored (here with a warning). False: it is refused.

What differs in both:

- A question that transformers' tokenizer fails on (no room for the context, windows that cannot advance) is refused
  with a `PipelineError`; a short context that needs no window is answered.
- `{"question": [...], "context": "..."}` asks each question of the context; transformers asks its characters.
- `padding`, `batch_size` and `num_workers` are accepted, without effect: windows are read one at a time, unpadded.
- There are no warnings of deprecation, for `topk`, `data`, `X` and positional arguments.
- A split bundle, as the bundled model is, reads questions of 62 tokens and windows of 447 tokens of context at most.
  It keeps its encodings in int8: in float32, that gives another answer to 5 of 400 questions than one graph does.
- A context whose tokens do not fit into memory, about 170 bytes a character of English, is refused.
- A pipeline is there to be called: it has no `model`, `tokenizer`, `predict` or `save_pretrained`.
- Answers are not remembered: the cache is `edgeqa.open`'s.
"""
