// Watches: what happens to keys, in order, nothing lost and nothing twice.
//
// A watch survives its connection. When the stream breaks, or its member loses the leader, the client opens
// another one at another endpoint and goes on at the revision after the last one it has delivered; the events
// of one revision are always delivered together. It ends only when it is cancelled, when what it has to see
// next is compacted, or when the server refuses it. All watches of a client share a stream.
//
// Where nothing happens to its keys, a watch stays at the revision of the last event. If that is compacted
// and the connection breaks, it ends with IsCompacted though it may have missed nothing: read again, and
// watch from there. WatchOptions::progress_notify makes that rarer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "quorate/client/key_range.h"
#include "quorate/client/options.h"
#include "quorate/client/status.h"
#include "rpc.pb.h"

namespace quorate::client {

class Core;

using etcdserverpb::WatchResponse;

struct WatchOptions {
  // The first revision to see. Zero: what comes after the server has taken up the watch.
  int64_t start_revision = 0;
  bool prev_kv = false;
  bool no_put = false;
  bool no_delete = false;
  // An answer without events now and then (every ten minutes at etcd) says up to which revision all is
  // delivered.
  bool progress_notify = false;
  // Deliver the server's confirmation (`created`), too; the first one only.
  bool created_notify = false;
  // Have the server split answers larger than its message limit. They are put together again before they are
  // delivered.
  bool fragment = true;
  // Leave a member that knows no leader. Without, the watch stays with a member that is cut off and sees
  // nothing new.
  bool require_leader = true;
};

// One watch, for one reading thread; Cancel may be called from any. Destroying it cancels it. May outlive its
// client.
class Watch {
 public:
  virtual ~Watch() = default;

  // Waits for the next answer: events, or news of progress (no events, a header). After the end the reason of
  // it, each time: kCancelled after Cancel and after the client was closed, IsCompacted, or the server's
  // refusal.
  virtual StatusOr<WatchResponse> Next() = 0;
  // Nothing when nothing came in time. Negative: does not wait.
  virtual std::optional<StatusOr<WatchResponse>> Next(std::chrono::milliseconds timeout) = 0;
  virtual void Cancel() = 0;

  // After IsCompacted: the first revision that can still be watched. Else 0.
  virtual int64_t compact_revision() const = 0;
  // The header of the answer with which the server said so. Else empty.
  virtual etcdserverpb::ResponseHeader end_header() const = 0;
};

// Hears of every answer, and last, once, of the error that ended the watch, unless that was Cancel. On the
// client's thread; must not block. After Cancel it is not called any more, nor running: Cancel waits for it,
// except where it is called on the client's thread itself. So a handler may cancel or destroy its own watch,
// and what it uses may be destroyed then.
using WatchHandler = std::function<void(StatusOr<WatchResponse>)>;

class Watches {
 public:
  explicit Watches(Core* core) : core_(*core) {}

  std::unique_ptr<Watch> Start(const KeyRange& keys, const WatchOptions& options = {});
  // The answers go to the handler instead of Next, which then only gives the end.
  std::unique_ptr<Watch> Start(const KeyRange& keys, const WatchOptions& options, WatchHandler handler);
  // Asks for news of progress on all watches. Servers before etcd 3.5.8 may answer with a revision of which a
  // watch has not seen all; so such an answer is delivered, but never moves the revision at which a watch
  // resumes.
  void RequestProgress();

 private:
  Core& core_;
};

}  // namespace quorate::client
