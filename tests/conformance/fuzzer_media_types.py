"""What the fuzzer must be told of media types: the next bytes of an upload are bytes (tus 1.0)."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
