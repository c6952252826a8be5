// KV.RangeStream (API 3.7): a range in chunks, all at the revision of the first.
#pragma once

#include <memory>

#include "net/grpc.h"
#include "rpc/context.h"

namespace quorate::rpc {

std::unique_ptr<net::StreamHandler> MakeRangeStream(Context* context, Stream stream);

}  // namespace quorate::rpc
