// What stands before a member for its clients: requests and watch streams in plain data, as rpc serves them
// over gRPC. Everything here runs in the process of the member (Node::Run).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "mvcc/watch_hub.h"
#include "sim/history.h"
#include "sim/node.h"

namespace quorate::sim {

// `reply` runs once, now or later; never after the end of the process.
void Serve(Node& node, const Request& request, std::function<void(Response)> reply);

// One watch stream. What it has to say goes to `deliver`, in order; the watch id is as the hub has chosen it,
// and mvcc::kInvalidWatchId for an answer that concerns the whole stream.
class WatchSession final : public Session, public mvcc::WatchSink {
 public:
  using Deliver = std::function<void(int64_t watch_id, const WatchAnswer&)>;

  WatchSession(server::Member* member, size_t window, Deliver deliver);
  ~WatchSession() override;

  // The id; a refusal is an answer to nothing here, and an error.
  StatusOr<int64_t> Create(const WatchRecord& record, bool progress_notify);
  void RequestProgress();
  // The client has read one response.
  void Consumed();

  bool full() const override { return unread_ >= window_; }
  void OnEvents(mvcc::WatchId id, int64_t header_revision, std::shared_ptr<const mvcc::WatchEvents> events,
                bool fragment) override;
  void OnCompacted(mvcc::WatchId id, int64_t compact_revision) override;
  void OnProgress(mvcc::WatchId id, int64_t header_revision) override;

 private:
  server::Member& member_;
  const size_t window_;
  const Deliver deliver_;
  size_t unread_ = 0;
  std::unique_ptr<mvcc::WatchStream> stream_;
};

}  // namespace quorate::sim
