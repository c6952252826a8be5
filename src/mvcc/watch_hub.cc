#include "mvcc/watch_hub.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "mvcc/watch_catch_up.h"

namespace quorate::mvcc {
namespace {

constexpr int64_t kProgressIntervalMinNanos = 100'000'000;  // etcd: minWatchProgressInterval.
constexpr int64_t kBlockedPollNanos = 100'000'000;          // etcd: watchResyncPeriod.
constexpr size_t kReadyHolesMin = 64;
constexpr std::string_view kFromKeyEnd("\0", 1);

bool Behind(WatcherPlace place) {
  return place == WatcherPlace::kReady || place == WatcherPlace::kParked || place == WatcherPlace::kReading;
}

}  // namespace

// --- WatchStream ---

WatchStream::~WatchStream() { hub_->CloseStream(this); }

Status WatchStream::CheckStart(int64_t start_revision) {
  return start_revision < 0 ? InvalidArgument(kNegativeStartText) : absl::OkStatus();
}

StatusOr<WatchId> WatchStream::Create(const WatchOptions& options) {
  QUORATE_RETURN_IF_ERROR(CheckStart(options.start_revision));
  const std::string key = options.key.empty() ? std::string(1, '\0') : options.key;
  const bool bounded = !options.range_end.empty() && options.range_end != kFromKeyEnd;
  if (bounded && options.range_end <= key) return InvalidArgument(kEmptyRangeText);
  WatchId id = options.id;
  if (id == kAutoWatchId) {
    while (watchers_.contains(next_id_)) ++next_id_;
    id = next_id_++;
  } else if (watchers_.contains(id)) {
    return InvalidArgument(kDuplicateIdText);
  }

  const int64_t current = hub_->current_revision();
  const int64_t start = options.start_revision;
  uint8_t flags = 0;
  if (options.no_put) flags |= kWatchNoPut;
  if (options.no_delete) flags |= kWatchNoDelete;
  if (options.prev_kv) flags |= kWatchPrevKv;
  if (options.fragment) flags |= kWatchFragment;
  if (options.progress_notify) flags |= kWatchProgress | kWatchProgressDue;
  if (start > current) {
    flags |= kWatchFuture;
    starts_.insert(start);
  }
  WatchGroup* group = hub_->GroupFor(key, options.range_end);
  ++group->watchers;
  auto* watcher = new Watcher{this, group, id, start, 0, WatcherPlace::kEnded, 0, flags};
  watchers_.emplace(id, watcher);
  ++hub_->stats_.watchers;
  ++live_count_;
  if (start == 0 || start > current) {
    watcher->next_revision = std::max(current + 1, start);
    hub_->PutSynced(watcher);
  } else {
    hub_->PutBehind(watcher);
  }
  if (options.progress_notify) hub_->ScheduleProgress(this);
  return id;
}

bool WatchStream::Cancel(WatchId id) {
  const auto it = watchers_.find(id);
  if (it == watchers_.end()) return false;
  hub_->Remove(it->second);
  watchers_.erase(it);
  return true;
}

std::optional<WatchStream::Watched> WatchStream::FindWatched(WatchId id) const {
  const auto it = watchers_.find(id);
  if (it == watchers_.end() || it->second->place == WatcherPlace::kEnded) return std::nullopt;
  const WatchGroup* const group = it->second->group;
  if (!group->range) return Watched{id, group->key, {}};
  const auto* const range = static_cast<const WatchRangeGroup*>(group);
  return Watched{id, range->key, range->unbounded ? std::string_view(kFromKeyEnd) : range->end};
}

std::vector<WatchStream::Watched> WatchStream::AllWatched() const {
  std::vector<Watched> all;
  all.reserve(watchers_.size());
  for (const auto& [id, unused] : watchers_) {
    if (const auto watched = FindWatched(id)) all.push_back(*watched);
  }
  return all;
}

void WatchStream::RequestProgress() {
  hub_->FlushRound();
  if (live_count_ == 0 || behind_count_ > 0) return;
  const int64_t current = hub_->current_revision();
  if (!starts_.empty() && *starts_.rbegin() > current) return;
  if (!sink_->full()) sink_->OnProgress(kInvalidWatchId, current);
}

void WatchStream::Resume() {
  if (blocked_ && !sink_->full()) hub_->Unblock(this);
}

// --- registration ---

WatchHub::WatchHub(Env env, WatchHistory* history, WatchHubOptions options)
    : env_(env),
      history_(history),
      options_(options),
      limits_{options.response_bytes_max, options.response_revisions_max},
      previous_now_([this](const Event& event, std::string& out) { return PreviousNow(event, out); }) {
  options_.progress_interval_nanos = std::max(options_.progress_interval_nanos, kProgressIntervalMinNanos);
  notified_revision_ = flushed_revision_ = history_->current_revision();
}

WatchHub::~WatchHub() {
  QUORATE_CHECK_MSG(streams_.empty(), "watch streams must be closed before their hub");
}

std::unique_ptr<WatchStream> WatchHub::OpenStream(WatchSink* sink) {
  auto stream = std::unique_ptr<WatchStream>(new WatchStream(this, sink, next_serial_++));
  // Jitter keeps clients that reconnected together from being told together for ever after.
  const int64_t interval = options_.progress_interval_nanos;
  stream->progress_interval_nanos_ =
      interval + static_cast<int64_t>(env_.random->Below(static_cast<uint64_t>(interval / 10)));
  stream->opened_at_nanos_ = env_.clock->MonotonicNanos();
  streams_.emplace(stream->serial_, stream.get());
  ++stats_.streams;
  return stream;
}

void WatchHub::CloseStream(WatchStream* stream) {
  for (const auto& [id, watcher] : stream->watchers_) Remove(watcher);
  stream->watchers_.clear();
  if (stream->blocked_) std::erase(blocked_, stream);
  if (stream->progress_at_nanos_ != 0) progress_.erase({stream->progress_at_nanos_, stream->serial_});
  streams_.erase(stream->serial_);
  --stats_.streams;
}

WatchGroup* WatchHub::GroupFor(const std::string& key, const std::string& range_end) {
  if (range_end.empty()) {
    if (const auto it = exact_.find(std::string_view(key)); it != exact_.end()) return *it;
    auto* group = new WatchGroup;
    group->key = key;
    exact_.insert(group);
    return group;
  }
  const bool unbounded = range_end == kFromKeyEnd;
  const std::string end = unbounded ? std::string() : range_end;
  if (WatchRangeGroup* group = ranges_.Find(key, end, unbounded)) return group;
  auto* group = new WatchRangeGroup;
  group->key = key;
  group->range = true;
  group->end = end;
  group->unbounded = unbounded;
  ranges_.Insert(group);
  return group;
}

void WatchHub::DropGroup(WatchGroup* group) {
  if (group->touched != kNotTouched) touched_[group->touched].group = nullptr;
  if (group->range) {
    auto* range = static_cast<WatchRangeGroup*>(group);
    ranges_.Erase(range);
    delete range;
  } else {
    exact_.erase(group);
    delete group;
  }
}

void WatchHub::Remove(Watcher* watcher) {
  if (watcher->place != WatcherPlace::kEnded) {
    ForgetStart(watcher);
    Take(watcher);
    --watcher->stream->live_count_;
    if (--watcher->group->watchers == 0) DropGroup(watcher->group);
    --stats_.watchers;
  }
  delete watcher;
}

void WatchHub::Take(Watcher* watcher) {
  if (Behind(watcher->place)) CountBehind(watcher, -1);
  switch (watcher->place) {
    case WatcherPlace::kSynced: {
      auto& synced = watcher->group->synced;
      synced[watcher->slot] = synced.back();
      synced[watcher->slot]->slot = watcher->slot;
      synced.pop_back();
      break;
    }
    case WatcherPlace::kReady:
      ready_[watcher->slot] = nullptr;
      --ready_count_;
      if (ready_.size() > kReadyHolesMin && ready_count_ < ready_.size() / 4) CloseReadyHoles();
      break;
    case WatcherPlace::kParked: {
      auto& parked = watcher->stream->parked_;
      parked[watcher->slot] = parked.back();
      parked[watcher->slot]->slot = watcher->slot;
      parked.pop_back();
      break;
    }
    case WatcherPlace::kReading:
      steps_[watcher->step]->watchers[watcher->slot] = nullptr;
      break;
    case WatcherPlace::kEnded:
      break;
  }
}

// Keeps the order of arrival.
void WatchHub::CloseReadyHoles() {
  std::erase(ready_, nullptr);
  for (size_t i = 0; i < ready_.size(); ++i) ready_[i]->slot = static_cast<uint32_t>(i);
}

void WatchHub::PutSynced(Watcher* watcher) {
  auto& synced = watcher->group->synced;
  watcher->place = WatcherPlace::kSynced;
  watcher->slot = static_cast<uint32_t>(synced.size());
  synced.push_back(watcher);
}

void WatchHub::PutBehind(Watcher* watcher) {
  const bool parked = watcher->stream->blocked_;
  auto& list = parked ? watcher->stream->parked_ : ready_;
  watcher->place = parked ? WatcherPlace::kParked : WatcherPlace::kReady;
  watcher->slot = static_cast<uint32_t>(list.size());
  list.push_back(watcher);
  if (!parked) ++ready_count_;
  CountBehind(watcher, 1);
}

void WatchHub::CountBehind(Watcher* watcher, int change) {
  stats_.slow_watchers += static_cast<size_t>(change);
  watcher->stream->behind_count_ += static_cast<size_t>(change);
}

// The store has reached it, or the watcher is over.
void WatchHub::ForgetStart(Watcher* watcher) {
  if ((watcher->flags & kWatchFuture) == 0) return;
  watcher->flags &= static_cast<uint8_t>(~kWatchFuture);
  auto& starts = watcher->stream->starts_;
  starts.erase(starts.find(watcher->next_revision));
}

void WatchHub::Block(WatchStream* stream) {
  if (stream->blocked_) return;
  stream->blocked_ = true;
  if (blocked_.empty()) poll_blocked_at_nanos_ = env_.clock->MonotonicNanos() + kBlockedPollNanos;
  blocked_.push_back(stream);
}

void WatchHub::Unblock(WatchStream* stream) {
  std::erase(blocked_, stream);
  stream->blocked_ = false;
  std::vector<Watcher*> parked = std::move(stream->parked_);
  stream->parked_.clear();
  for (Watcher* watcher : parked) {
    CountBehind(watcher, -1);  // PutBehind counts it anew.
    PutBehind(watcher);
  }
}

void WatchHub::PollBlocked() {
  if (blocked_.empty()) return;
  const int64_t now = env_.clock->MonotonicNanos();
  if (now < poll_blocked_at_nanos_) return;
  poll_blocked_at_nanos_ = now + kBlockedPollNanos;
  const std::vector<WatchStream*> blocked = blocked_;
  for (WatchStream* stream : blocked) stream->Resume();
}

// --- delivery ---

void WatchHub::Touch(WatchGroup* group, uint32_t event) {
  if (group->touched == kNotTouched) {
    group->touched = static_cast<uint32_t>(touched_count_);
    if (touched_count_ == touched_.size()) touched_.emplace_back();
    touched_[touched_count_].group = group;
    touched_[touched_count_].events.clear();
    ++touched_count_;
  }
  touched_[group->touched].events.push_back(event);
}

void WatchHub::Notify(const EventBatch& batch) {
  QUORATE_CHECK(batch.revision > notified_revision_);
  notified_revision_ = batch.revision;
  if (steps_[0] != nullptr || steps_[1] != nullptr) KeepInTail(batch);
  bool kept = false;
  for (const Event& event : batch.events) {
    const auto position = static_cast<uint32_t>(round_events_.size());
    bool matched = false;
    if (const auto it = exact_.find(event.key); it != exact_.end()) {
      Touch(*it, position);
      matched = true;
    }
    ranges_.Stab(event.key, [&](WatchRangeGroup* group) {
      Touch(group, position);
      matched = true;
    });
    if (matched) round_events_.push_back(event);
    kept |= matched;
  }
  if (kept) round_pins_.push_back(batch.pin);
}

void WatchHub::FlushRound() {
  std::vector<const Event*> events;
  for (size_t i = 0; i < touched_count_; ++i) {
    WatchGroup* group = touched_[i].group;
    if (group == nullptr) continue;
    group->touched = kNotTouched;
    if (group->synced.empty()) continue;
    events.clear();
    for (const uint32_t position : touched_[i].events) events.push_back(&round_events_[position]);
    WatchSelection selection(events, limits_, previous_now_);
    DeliverRound(group, selection);
  }
  touched_count_ = 0;
  round_events_.clear();
  round_pins_.clear();
  flushed_revision_ = notified_revision_;
}

void WatchHub::DeliverRound(WatchGroup* group, WatchSelection& selection) {
  // Backwards: a watcher that leaves is replaced by the last, which has had its turn.
  for (size_t i = group->synced.size(); i-- > 0;) {
    Watcher* watcher = group->synced[i];
    if (Deliver(watcher, selection, 0)) continue;
    Take(watcher);
    PutBehind(watcher);
  }
}

bool WatchHub::Deliver(Watcher* watcher, WatchSelection& selection, int64_t header_revision) {
  const WatchResponses& responses = selection.For(watcher->flags, watcher->next_revision);
  if (selection.last_revision() >= watcher->next_revision) ForgetStart(watcher);
  WatchSink* sink = watcher->stream->sink_;
  for (const auto& part : responses.parts) {
    if (sink->full()) {
      watcher->next_revision = part->first_revision;
      Block(watcher->stream);
      return false;
    }
    const bool last = responses.wait_at == 0 && &part == &responses.parts.back();
    sink->OnEvents(watcher->id, last && header_revision != 0 ? header_revision : part->last_revision, part,
                   (watcher->flags & kWatchFragment) != 0);
    watcher->flags &= static_cast<uint8_t>(~kWatchProgressDue);
    ++stats_.responses_sent;
    stats_.events_sent += part->count();
  }
  if (responses.wait_at != 0) {
    watcher->next_revision = responses.wait_at;
    return false;
  }
  watcher->next_revision = std::max(watcher->next_revision, selection.last_revision() + 1);
  return true;
}

PreviousState WatchHub::PreviousNow(const Event& event, std::string& out) const {
  const auto at = history_->Find(event.key, event.revision.main - 1);
  if (!at.has_value()) return PreviousState::kNone;
  return history_->ReadResident(*at, out) ? PreviousState::kFound : PreviousState::kMustWait;
}

// --- progress ---

bool WatchHub::ProgressAllowed(Watcher* watcher) const {
  if (watcher->place != WatcherPlace::kSynced) return false;
  return (watcher->flags & kWatchFuture) == 0 || history_->current_revision() >= watcher->next_revision;
}

void WatchHub::ScheduleProgress(WatchStream* stream) {
  if (stream->progress_at_nanos_ != 0) return;
  const int64_t interval = stream->progress_interval_nanos_;
  const int64_t elapsed = env_.clock->MonotonicNanos() - stream->opened_at_nanos_;
  stream->progress_at_nanos_ = stream->opened_at_nanos_ + (elapsed / interval + 1) * interval;
  progress_.emplace(stream->progress_at_nanos_, stream->serial_);
}

void WatchHub::SendDueProgress() {
  if (progress_.empty()) return;
  const int64_t now = env_.clock->MonotonicNanos();
  while (!progress_.empty() && progress_.begin()->first <= now) {
    WatchStream* stream = streams_.at(progress_.begin()->second);
    progress_.erase(progress_.begin());
    stream->progress_at_nanos_ = 0;
    bool wanted = false;
    for (const auto& [id, watcher] : stream->watchers_) {
      if ((watcher->flags & kWatchProgress) == 0 || watcher->place == WatcherPlace::kEnded) continue;
      wanted = true;
      if ((watcher->flags & kWatchProgressDue) != 0 && ProgressAllowed(watcher) && !stream->sink_->full())
        stream->sink_->OnProgress(id, history_->current_revision());
      watcher->flags |= kWatchProgressDue;
    }
    if (wanted) ScheduleProgress(stream);
  }
}

// --- the round ---

void WatchHub::Flush() {
  FlushRound();
  PollBlocked();
  StartCatchUp();
  SendDueProgress();
}

void WatchHub::Restored(WatchHistory* history) {
  FlushRound();
  AbandonSteps();
  history_ = history;
  const int64_t current = history_->current_revision();
  for (const auto& [serial, stream] : streams_) {
    for (const auto& [id, watcher] : stream->watchers_) {
      if (watcher->place != WatcherPlace::kSynced) continue;
      if ((watcher->flags & kWatchFuture) == 0)
        watcher->next_revision = std::max(watcher->next_revision, flushed_revision_ + 1);
      if (watcher->next_revision > current) continue;
      ForgetStart(watcher);
      Take(watcher);
      PutBehind(watcher);
    }
  }
  notified_revision_ = flushed_revision_ = current;
}

int64_t WatchHub::NextDeadlineNanos() const {
  int64_t deadline = std::numeric_limits<int64_t>::max();
  if (touched_count_ != 0) return 0;
  if (!progress_.empty()) deadline = progress_.begin()->first;
  if (!blocked_.empty()) deadline = std::min(deadline, poll_blocked_at_nanos_);
  if (ready_count_ != 0 && (steps_[0] == nullptr || steps_[1] == nullptr))
    deadline = std::min(deadline, retry_at_nanos_);
  return deadline;
}

void WatchHub::CheckInvariants() const {
  size_t watchers = 0;
  size_t slow = 0;
  size_t ready = 0;
  absl::flat_hash_map<const WatchGroup*, uint32_t> groups;
  for (const auto& [serial, stream] : streams_) {
    size_t live = 0;
    size_t behind = 0;
    absl::btree_multiset<int64_t> starts;
    for (const auto& [id, watcher] : stream->watchers_) {
      QUORATE_CHECK(watcher->id == id && watcher->stream == stream);
      if ((watcher->flags & kWatchFuture) != 0) starts.insert(watcher->next_revision);
      if (watcher->place == WatcherPlace::kEnded) continue;
      ++watchers;
      ++live;
      ++groups[watcher->group];
      if (Behind(watcher->place)) ++behind;
      switch (watcher->place) {
        case WatcherPlace::kSynced:
          QUORATE_CHECK(watcher->group->synced[watcher->slot] == watcher);
          break;
        case WatcherPlace::kReady:
          QUORATE_CHECK(ready_[watcher->slot] == watcher);
          ++ready;
          break;
        case WatcherPlace::kParked:
          QUORATE_CHECK(stream->blocked_ && stream->parked_[watcher->slot] == watcher);
          break;
        case WatcherPlace::kReading:
          QUORATE_CHECK(steps_[watcher->step]->watchers[watcher->slot] == watcher);
          break;
        case WatcherPlace::kEnded:
          break;
      }
    }
    QUORATE_CHECK(live == stream->live_count_ && behind == stream->behind_count_);
    QUORATE_CHECK(starts == stream->starts_);
    slow += behind;
  }
  QUORATE_CHECK(watchers == stats_.watchers);
  QUORATE_CHECK(slow == stats_.slow_watchers);
  QUORATE_CHECK(ready == ready_count_);
  QUORATE_CHECK(groups.size() == exact_.size() + ranges_.size());
  for (const auto& [group, count] : groups) QUORATE_CHECK(group->watchers == count);
  ranges_.CheckInvariants();
}

}  // namespace quorate::mvcc
