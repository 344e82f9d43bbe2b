#!/bin/sh
# edgeqa by the Redis protocol.  edgeqa add manuals/ && edgeqa serve --redis 6423 &  then: ./redis.sh "How deep may it go?"
set -eu
port=${EDGEQA_REDIS_PORT:-6423}
question=${1:-To what depth may the pump be submerged?}

# Where the answer may be: the address of the closest passage.
address=$(redis-cli -p "$port" EDGEQA.CLOSEST "$question" 1)
echo "$address"

# The name of an answer is the passage's address and the question; what is missing is read, then remembered.
tag=${address##*:\{}
tag=${tag%%\}*}
redis-cli -p "$port" GET "bertqa{$tag}_${address}_$question"

# The whole collection, asked; the answer as JSON.
redis-cli -p "$port" EDGEQA.ASK "$question"
