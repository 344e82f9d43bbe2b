#!/bin/sh
# edgeqa by HTTP, with curl.  edgeqa add manuals/ && edgeqa serve &  then: ./ask.sh "How deep may the pump go?"
set -eu
url=${EDGEQA_URL:-http://127.0.0.1:8423}
question=${1:-To what depth may the pump be submerged?}

# The answer with all that is known of it, as `edgeqa ask --json` prints it; curl writes the JSON string.
escaped=$(printf '%s' "$question" | sed 's/[\\"]/\\&/g')
curl -fsS "$url/v1/ask" -H 'Content-Type: application/json' -d "{\"question\": \"$escaped\"}"
echo

# The passages that are closest to it, which no model has to read.
curl -fsS -G "$url/v1/closest" --data-urlencode "question=$question" --data-urlencode most=2
echo

# A text that is asked and not kept.
printf 'The bridge was built in 1932 by Dorman Long.' | curl -fsS --data-binary @- -H 'Content-Type: text/plain' \
    "$url/v1/ask-file?question=Who+built+the+bridge%3F"
echo
