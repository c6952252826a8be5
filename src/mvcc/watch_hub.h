// The watch hub: who watches which keys, and what each is still owed.
//
// Owner: the core thread, for everything here; only catch-up reading runs on Lane::kRead. Semantics: etcd's
// watchable store and its Watch service (surface.md "Watch"). The hub makes no wire messages but the repeated
// `events` field, which is encoded once and shared by all watchers that get the same events; the RPC layer
// adds the header, the id and the control responses.
//
// Use, each round of the core's loop:
//   store End() -> hub.Notify(batch) ...; requests -> stream->Create/Cancel/RequestProgress ...; hub.Flush().
// The loop sleeps no longer than until NextDeadlineNanos().
//
// Invariants (checked by CheckInvariants()):
//  1. A watcher is in exactly one place: synced in its group, ready for catch-up, parked at its full stream,
//     being read for, or ended by compaction.
//  2. A watcher was handed every matching change with start <= revision < next_revision, once and in order;
//     a synced one also everything up to the last flushed revision.
//  3. A group exists while a watcher refers to it; the exact map and the interval tree hold exactly these.
//  4. A stream's live_count_, behind_count_ and starts_ are those of its watchers.
//  5. Nothing is queued for a watcher whose sink is full: it is owed a revision number, not data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "base/env.h"
#include "base/status.h"
#include "mvcc/event.h"
#include "mvcc/watch_group.h"
#include "mvcc/watch_history.h"
#include "mvcc/watch_selection.h"

namespace quorate::mvcc {

using WatchId = int64_t;
constexpr WatchId kAutoWatchId = 0;      // In a create request: the server picks.
constexpr WatchId kInvalidWatchId = -1;  // In a response: no watcher, or all of the stream.

// Texts of WatchResponse.cancel_reason (surface.md section 2, note).
constexpr std::string_view kEmptyRangeText = "mvcc: watcher range is empty";
constexpr std::string_view kDuplicateIdText = "mvcc: duplicate watch ID provided on the WatchStream";
constexpr std::string_view kNegativeStartText = "etcdserver: mvcc: required revision has been compacted";

// Where a stream's responses go; implemented by the RPC layer. Called on the core thread, only from within
// Notify, Flush, RequestProgress, Restored; must not call back into the hub.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // Too much is waiting to be sent: hand over no more. What a full() sink is given all the same must still be
  // sent.
  virtual bool full() const = 0;
  // A response with events: header.revision, watch_id, events. `fragment`: the client allows splitting (a
  // response of max-request-bytes + 512 KiB or more, with two events or more).
  virtual void OnEvents(WatchId id, int64_t header_revision, std::shared_ptr<const WatchEvents> events,
                        bool fragment) = 0;
  // The watcher is over: canceled=true, compact_revision, no reason, header.revision 0. Its id stays taken
  // until the client cancels it, as in the original. WatchStream::FindWatched finds it a last time.
  virtual void OnCompacted(WatchId id, int64_t compact_revision) = 0;
  // An empty response that says: all up to `header_revision` was sent. id is kInvalidWatchId for a progress
  // request.
  virtual void OnProgress(WatchId id, int64_t header_revision) = 0;
};

struct WatchOptions {
  WatchId id = kAutoWatchId;
  std::string key{};        // As on the wire: empty stands for "\0".
  std::string range_end{};  // As on the wire: empty = one key, "\0" = from key on.
  int64_t start_revision = 0;
  bool no_put = false;
  bool no_delete = false;
  bool prev_kv = false;
  bool fragment = false;
  bool progress_notify = false;
};

struct WatchHubOptions {
  // --watch-progress-notify-interval; raised to 100 ms if below.
  int64_t progress_interval_nanos = 600'000'000'000;
  // Several revisions go into one response until it has this many bytes (one revision may exceed it) ...
  size_t response_bytes_max = 1 << 20;
  // ... or revisions (etcd: watchBatchMaxRevs).
  size_t response_revisions_max = 1000;
  // One catch-up step: history bytes read, up to the end of a revision; watchers served; revisions by which
  // their starts may lie apart.
  size_t read_bytes_max = 8 << 20;
  size_t read_watchers_max = 1024;
  int64_t read_window = 100'000;
  // New changes kept in memory while a catch-up step runs.
  size_t tail_bytes_max = 8 << 20;
};

struct WatchHubStats {
  size_t streams = 0;
  size_t watchers = 0;  // Those ended by compaction not counted.
  size_t slow_watchers = 0;
  uint64_t events_sent = 0;
  uint64_t responses_sent = 0;
};

class WatchHub;

// The watchers of one gRPC stream. Made by WatchHub::OpenStream; destroying it cancels them all. Must go
// before the hub.
class WatchStream {
 public:
  ~WatchStream();
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  // Registers a watcher; returns its id, or InvalidArgument whose text is the cancel_reason of a response
  // with created and canceled set and watch_id -1. Never calls the sink: the caller sends the created
  // response (header at current_revision()) at once, before the hub next runs. Permission is checked by the
  // caller, between CheckStart() and this.
  StatusOr<WatchId> Create(const WatchOptions& options);
  // The original refuses a negative start before it looks at permissions.
  static Status CheckStart(int64_t start_revision);
  // False when there is no such watcher (then the client gets no answer). The caller sends the canceled
  // response.
  bool Cancel(WatchId id);
  // Flushes, then calls OnProgress(kInvalidWatchId) if the stream has watchers and all are synced; else
  // nothing. However many there are: clients may ask as often as they like.
  void RequestProgress();
  // The sink is no longer full. Without this call the hub finds out within 100 ms.
  void Resume();
  size_t watcher_count() const { return watchers_.size(); }
  // What the watchers watch that are not over, as on the wire ("\0" where the key was empty); one of them:
  // nothing when it is over. The views hold until a watcher is created or cancelled.
  struct Watched {
    WatchId id = 0;
    std::string_view key;
    std::string_view range_end;
  };
  std::vector<Watched> AllWatched() const;
  std::optional<Watched> FindWatched(WatchId id) const;

 private:
  friend class WatchHub;
  WatchStream(WatchHub* hub, WatchSink* sink, uint64_t serial) : hub_(hub), sink_(sink), serial_(serial) {}

  WatchHub* const hub_;
  WatchSink* const sink_;
  const uint64_t serial_;
  WatchId next_id_ = 0;
  bool blocked_ = false;  // The sink was found full.
  int64_t opened_at_nanos_ = 0;
  int64_t progress_interval_nanos_ = 0;  // With this stream's jitter.
  int64_t progress_at_nanos_ = 0;        // 0: no watcher of the stream wants progress.
  absl::btree_map<WatchId, Watcher*> watchers_;
  std::vector<Watcher*> parked_;
  size_t live_count_ = 0;                 // Of watchers_, without those that are over,
  size_t behind_count_ = 0;               // and of these those that are not synced.
  absl::btree_multiset<int64_t> starts_;  // Of those with kWatchFuture.
};

class WatchHub {
 public:
  // `history` must outlive the hub. Streams must be closed before it is destroyed; a catch-up step still
  // running then is dropped safely.
  WatchHub(Env env, WatchHistory* history, WatchHubOptions options);
  ~WatchHub();
  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  // `sink` must outlive the stream.
  std::unique_ptr<WatchStream> OpenStream(WatchSink* sink);

  // One transaction's changes; called by the store when it ends, revisions rising. Delivery waits for Flush.
  void Notify(const EventBatch& batch);
  // Delivers what was notified, starts and finishes catch-up, sends due progress. Once per loop round.
  void Flush();
  // The store was replaced by a snapshot: every watcher is brought up to date from the new history.
  void Restored(WatchHistory* history);
  // When Flush wants to be called though nothing else happens; INT64_MAX for never.
  int64_t NextDeadlineNanos() const;

  int64_t current_revision() const { return history_->current_revision(); }
  const WatchHubStats& stats() const { return stats_; }
  void CheckInvariants() const;

 private:
  friend class WatchStream;
  struct CatchUp;  // One catch-up step (watch_catch_up.h).
  static constexpr size_t kSteps = 2;

  struct Touched {
    WatchGroup* group;                        // Null when its last watcher went in the same round.
    absl::InlinedVector<uint32_t, 4> events;  // Positions in round_events_.
  };

  // --- registration ---
  WatchGroup* GroupFor(const std::string& key, const std::string& range_end);
  void DropGroup(WatchGroup* group);
  void Remove(Watcher* watcher);
  void Take(Watcher* watcher);  // Out of its place; the caller puts it into another or deletes it.
  void CloseReadyHoles();
  void PutSynced(Watcher* watcher);
  void PutBehind(Watcher* watcher);  // Ready, or parked when its stream is blocked.
  void CountBehind(Watcher* watcher, int change);
  void ForgetStart(Watcher* watcher);
  void CloseStream(WatchStream* stream);
  void Block(WatchStream* stream);
  void Unblock(WatchStream* stream);
  void PollBlocked();

  // --- delivery ---
  void Touch(WatchGroup* group, uint32_t event);
  void FlushRound();
  void DeliverRound(WatchGroup* group, WatchSelection& selection);
  // Hands over the selection. `header_revision` is for the last response (0: its last event's). False, and
  // next_revision at the first event not handed over, when the sink filled up or a previous value must be
  // waited for.
  bool Deliver(Watcher* watcher, WatchSelection& selection, int64_t header_revision);
  PreviousState PreviousNow(const Event& event, std::string& out) const;

  // --- progress ---
  void ScheduleProgress(WatchStream* stream);
  void SendDueProgress();
  bool ProgressAllowed(Watcher* watcher) const;

  // --- catch-up (watch_catch_up.cc) ---
  void StartCatchUp();
  bool EndIfCompacted(Watcher* watcher);
  std::shared_ptr<CatchUp> ChooseStep(uint8_t index);
  void SubmitRead(const std::shared_ptr<CatchUp>& step);
  void ReadDone(const std::shared_ptr<CatchUp>& step);
  void FinishStep(const std::shared_ptr<CatchUp>& step);
  void AbandonSteps();
  void KeepInTail(const EventBatch& batch);
  void DropTailIfIdle();

  const Env env_;
  WatchHistory* history_;
  WatchHubOptions options_;
  const WatchResponseLimits limits_;
  const PreviousValue previous_now_;
  WatchHubStats stats_;
  // Gone with the hub: steps still running notice by it.
  std::shared_ptr<char> alive_ = std::make_shared<char>();

  absl::flat_hash_set<WatchGroup*, WatchGroupHash, WatchGroupEq> exact_;
  WatchRangeTree<WatchRangeGroup> ranges_;
  uint64_t next_serial_ = 0;
  absl::btree_map<uint64_t, WatchStream*> streams_;
  std::vector<WatchStream*> blocked_;
  int64_t poll_blocked_at_nanos_ = 0;
  std::set<std::pair<int64_t, uint64_t>> progress_;  // When, which stream.

  // The round: what was notified since the last Flush and matches a group.
  int64_t notified_revision_ = 0;
  int64_t flushed_revision_ = 0;
  std::vector<Event> round_events_;
  std::vector<std::shared_ptr<const void>> round_pins_;
  std::vector<Touched> touched_;
  size_t touched_count_ = 0;  // Of touched_ in use; the rest keeps its memory.

  std::vector<Watcher*> ready_;  // In order of arrival; may hold nulls.
  size_t ready_count_ = 0;       // Without the nulls.
  std::shared_ptr<CatchUp> steps_[kSteps];
  int64_t retry_at_nanos_ = 0;  // After a failed read: no step before.
  // While a step runs: all changes since tail_from_, so that the step can end at the present.
  std::deque<EventBatch> tail_;
  size_t tail_bytes_ = 0;
  int64_t tail_from_ = 0;
};

}  // namespace quorate::mvcc
