// Maintenance.Snapshot: the database file as a stream of blobs, and its SHA-256 as the last.
#pragma once

#include <chrono>
#include <memory>

#include "net/grpc.h"
#include "net/loop.h"
#include "rpc/context.h"

namespace quorate::rpc {

// How long a client may read nothing of its snapshot. It has one of few places, and the pages of its state
// can't be used anew meanwhile, so that the file grows.
struct SnapshotPatience {
  net::Loop::Nanos look = std::chrono::seconds(10);
  int looks_while_others_wait = 6;
  int looks = 60;
};

std::unique_ptr<net::StreamHandler> MakeSnapshotStream(Context* context, net::Loop* loop, Stream stream,
                                                       const SnapshotPatience& patience = {});

}  // namespace quorate::rpc
