// One watch as the loop sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "client/watch_cursor.h"
#include "client/watch_mailbox.h"
#include "quorate/client/watch.h"

namespace quorate::client {

struct WatchState {
  enum class Phase {
    kWaiting,    // To be created, once there is a stream.
    kCreating,   // The server has been asked.
    kActive,     // It has an ID on the stream.
    kSuspended,  // Its reader is behind; not at the server.
    kDenied,     // Refused; whether by the fault of an old token is being found out.
    kEnded,
  };

  WatchState(KeyRange range, WatchOptions wanted, WatchHandler to, size_t bytes_max)
      : keys(std::move(range)),
        options(wanted),
        handler(std::move(to)),
        mailbox(std::make_shared<WatchMailbox>(bytes_max)),
        cursor(wanted.start_revision) {}

  etcdserverpb::WatchRequest CreateRequest() const;
  // To the handler, else to the mailbox; false: its reader is too far behind.
  bool Deliver(etcdserverpb::WatchResponse response);
  void End(const Status& why, etcdserverpb::WatchResponse last = {});

  const KeyRange keys;
  const WatchOptions options;
  WatchHandler handler;
  const std::shared_ptr<WatchMailbox> mailbox;
  WatchCursor cursor;
  Phase phase = Phase::kWaiting;
  int64_t id = -1;  // On the stream, while active.
  bool created_before = false;
};

// The error that a server's reason for ending a watch stands for.
Status FromCancelReason(const std::string& reason);

}  // namespace quorate::client
