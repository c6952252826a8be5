// Maintenance.Snapshot: the database file as a stream of blobs, and its SHA-256 as the last.
#pragma once

#include <memory>

#include "net/grpc.h"
#include "net/loop.h"
#include "rpc/context.h"

namespace quorate::rpc {

std::unique_ptr<net::StreamHandler> MakeSnapshotStream(Context* context, net::Loop* loop, Stream stream);

}  // namespace quorate::rpc
