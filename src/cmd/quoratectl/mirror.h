// Copies keys from one cluster to another, and goes on with every change: `make-mirror`.
//
// Values are copied, not revisions and leases. The changes of one revision stay one transaction at the
// destination as long as they are no more than max_txn_ops. A change that may have been made already is made
// again, which does no harm.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "quorate/client/client.h"

namespace quorate::cmd {

struct MirrorOptions {
  std::string prefix;       // Of the keys to copy; empty: all.
  std::string dest_prefix;  // What stands for it at the destination.
  // Above 0: only what has changed from this revision on, without copying first what is there.
  int64_t revision = 0;
  size_t max_txn_ops = 128;  // At least 1.
};

// One thread, but for total().
class Mirror {
 public:
  // `tell` hears why it has to try again. The clients must outlive it.
  Mirror(client::Client* from, client::Client* to, MirrorOptions options,
         std::function<void(std::string_view)> tell);

  // Goes on for ever: members that can't be reached are waited for. The error that ended it.
  client::Status Run();

  // How many keys were put or deleted.
  uint64_t total() const { return total_; }

 private:
  using Ops = std::vector<client::Op>;

  client::Status CopyAll();
  client::Status Follow();
  client::Status Apply(const client::WatchResponse& changes);
  client::Status Write(Ops* ops);
  template <typename Response>
  client::StatusOr<Response> Persistently(const std::function<client::StatusOr<Response>()>& call);
  std::string DestKey(std::string_view key) const;
  client::KeyRange Keys() const;

  client::Client& from_;
  client::Client& to_;
  const MirrorOptions options_;
  const std::function<void(std::string_view)> tell_;
  int64_t revision_ = 0;  // That the destination has reached.
  std::atomic<uint64_t> total_ = 0;
};

}  // namespace quorate::cmd
