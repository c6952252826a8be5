#include "mvcc/watch_catch_up.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/logging.h"

namespace quorate::mvcc {
namespace {

constexpr int64_t kRetryNanos = 1'000'000'000;
// What an event costs besides its bytes; so that a history of tiny values is bounded too.
constexpr size_t kEventOverheadBytes = 128;

}  // namespace

// --- on the reader thread ---

void WatchHub::CatchUp::Read() {
  scanned_to = to;
  size_t bytes = 0;
  int64_t revision = 0;
  status = reader->Scan(from, to, [&](const Event& event) {
    if (event.revision.main != revision && bytes >= bytes_max) {
      scanned_to = event.revision.main;
      return false;
    }
    revision = event.revision.main;
    bytes += event.key_value.size() + kEventOverheadBytes;
    Keep(event);
    return true;
  });
}

void WatchHub::CatchUp::Keep(const Event& event) {
  bool kept = false;
  Match(event.key, [&](CatchUpGroup* group) {
    if (event.revision.main < group->next_revision) return;
    if (!kept) {
      kept = true;
      CatchUpEvent& copy = events.emplace_back();
      static_cast<Event&>(copy) = event;
      copy.bytes = std::make_unique_for_overwrite<char[]>(event.key.size() + event.key_value.size());
      char* at = copy.bytes.get();
      std::memcpy(at, event.key.data(), event.key.size());
      copy.key = {at, event.key.size()};
      at += event.key.size();
      std::memcpy(at, event.key_value.data(), event.key_value.size());
      copy.key_value = {at, event.key_value.size()};
    }
    group->events.push_back(static_cast<uint32_t>(events.size() - 1));
    if (group->previous_wanted && !(event.type == EventType::kPut && event.create))
      events.back().previous_wanted = true;
  });
}

void WatchHub::CatchUp::ReadPrevious() {
  for (CatchUpEvent& event : events) {
    if (!event.previous_at.has_value()) continue;
    const StatusOr<std::string_view> value = reader->Read(*event.previous_at);
    if (value.ok()) {
      event.previous.emplace(*value);
    } else if (!absl::IsNotFound(value.status())) {
      status = value.status();
      return;
    }
  }
}

// --- on the core ---

void WatchHub::CatchUp::AddGroup(const WatchGroup* group) {
  CatchUpGroup& copy = groups.emplace_back();
  copy.key = group->key;
  copy.range = group->range;
  copy.next_revision = std::numeric_limits<int64_t>::max();
  if (group->range) {
    const auto* range = static_cast<const WatchRangeGroup*>(group);
    copy.end = range->end;
    copy.unbounded = range->unbounded;
    ranges.Insert(&copy);
  } else {
    exact.emplace(copy.key, &copy);
  }
}

void WatchHub::KeepInTail(const EventBatch& batch) {
  for (const Event& event : batch.events) tail_bytes_ += event.key_value.size() + kEventOverheadBytes;
  if (tail_bytes_ > options_.tail_bytes_max) {
    // The step will end in the past; the next one starts there.
    tail_.clear();
    tail_bytes_ = 0;
    tail_from_ = batch.revision + 1;
    return;
  }
  tail_.push_back(batch);
}

void WatchHub::DropTailIfIdle() {
  if (steps_[0] != nullptr || steps_[1] != nullptr) return;
  tail_.clear();
  tail_bytes_ = 0;
}

void WatchHub::StartCatchUp() {
  if (ready_count_ == 0) return;
  if (retry_at_nanos_ != 0) {
    if (env_.clock->MonotonicNanos() < retry_at_nanos_) return;
    retry_at_nanos_ = 0;
  }
  for (uint8_t index = 0; index < kSteps && ready_count_ != 0; ++index) {
    if (steps_[index] != nullptr) continue;
    const std::shared_ptr<CatchUp> step = ChooseStep(index);
    if (step != nullptr) SubmitRead(step);
  }
}

bool WatchHub::EndIfCompacted(Watcher* watcher) {
  const int64_t compacted = history_->compacted_revision();
  if (watcher->next_revision >= compacted) return false;
  watcher->stream->sink_->OnCompacted(watcher->id, compacted);
  if (--watcher->group->watchers == 0) DropGroup(watcher->group);
  watcher->group = nullptr;
  watcher->place = WatcherPlace::kEnded;
  --stats_.watchers;
  --watcher->stream->live_count_;
  return true;
}

std::shared_ptr<WatchHub::CatchUp> WatchHub::ChooseStep(uint8_t index) {
  std::shared_ptr<CatchUp> step;
  absl::flat_hash_map<const WatchGroup*, uint32_t> positions;
  std::vector<Watcher*> waiting = std::move(ready_);
  ready_.clear();
  ready_count_ = 0;
  for (Watcher* watcher : waiting) {
    if (watcher == nullptr) continue;
    CountBehind(watcher, -1);
    if (!watcher->stream->blocked_ && watcher->stream->sink_->full()) Block(watcher->stream);
    if (watcher->stream->blocked_) {
      PutBehind(watcher);
      continue;
    }
    if (EndIfCompacted(watcher)) continue;
    // The one that has waited longest sets the start, so that each gets its turn.
    const bool fits = step == nullptr || (step->watchers.size() < options_.read_watchers_max &&
                                          watcher->next_revision >= step->from &&
                                          watcher->next_revision - step->from <= options_.read_window);
    if (!fits) {
      PutBehind(watcher);
      continue;
    }
    if (step == nullptr) {
      step = std::make_shared<CatchUp>();
      step->index = index;
      step->from = watcher->next_revision;
    }
    const auto [it, added] = positions.emplace(watcher->group, static_cast<uint32_t>(step->groups.size()));
    if (added) step->AddGroup(watcher->group);
    CatchUpGroup& group = step->groups[it->second];
    group.next_revision = std::min(group.next_revision, watcher->next_revision);
    group.previous_wanted |= (watcher->flags & kWatchPrevKv) != 0;
    watcher->place = WatcherPlace::kReading;
    watcher->step = index;
    watcher->slot = static_cast<uint32_t>(step->watchers.size());
    step->watchers.push_back(watcher);
    step->watcher_groups.push_back(it->second);
    CountBehind(watcher, 1);
  }
  return step;
}

void WatchHub::SubmitRead(const std::shared_ptr<CatchUp>& step) {
  if (steps_[0] == nullptr && steps_[1] == nullptr) tail_from_ = notified_revision_ + 1;
  steps_[step->index] = step;
  step->to = history_->current_revision() + 1;
  step->bytes_max = options_.read_bytes_max;
  step->reader = history_->OpenReader();
  env_.executor->Submit(
      Lane::kRead, [step] { step->Read(); },
      [this, alive = std::weak_ptr<char>(alive_), step] {
        if (!alive.expired()) ReadDone(step);
      });
}

void WatchHub::ReadDone(const std::shared_ptr<CatchUp>& step) {
  if (steps_[step->index] != step) return;  // Abandoned.
  bool previous = false;
  for (CatchUpEvent& event : step->events) {
    if (!event.previous_wanted) continue;
    event.previous_at = history_->Find(event.key, event.revision.main - 1);
    previous |= event.previous_at.has_value();
  }
  if (!previous || !step->status.ok()) return FinishStep(step);
  env_.executor->Submit(
      Lane::kRead, [step] { step->ReadPrevious(); },
      [this, alive = std::weak_ptr<char>(alive_), step] {
        if (!alive.expired() && steps_[step->index] == step) FinishStep(step);
      });
}

void WatchHub::FinishStep(const std::shared_ptr<CatchUp>& step) {
  FlushRound();
  step->reader.reset();
  std::vector<Watcher*> watchers = std::move(step->watchers);
  step->watchers.assign(watchers.size(), nullptr);
  steps_[step->index].reset();
  if (!step->status.ok()) {
    LOG_ERROR("failed to read history for watchers; will try again", {"error", Message(step->status)});
    retry_at_nanos_ = env_.clock->MonotonicNanos() + kRetryNanos;
  }

  // Whether step and tail together reach the present.
  const bool complete = step->status.ok() && step->scanned_to == step->to && tail_from_ <= step->to;
  if (step->status.ok()) {
    for (CatchUpGroup& group : step->groups)
      for (const uint32_t position : group.events) group.list.push_back(&step->events[position]);
  }
  if (complete) {
    for (const EventBatch& batch : tail_) {
      if (batch.revision < step->to) continue;
      for (const Event& event : batch.events)
        step->Match(event.key, [&](CatchUpGroup* group) { group->list.push_back(&event); });
    }
  }
  const PreviousValue previous = [&](const Event& event, std::string& out) {
    if (event.revision.main >= step->to) return PreviousNow(event, out);
    const auto& read = static_cast<const CatchUpEvent&>(event);
    if (!read.previous.has_value()) return PreviousState::kNone;
    out += *read.previous;
    return PreviousState::kFound;
  };
  std::deque<WatchSelection> selections;
  for (const CatchUpGroup& group : step->groups) selections.emplace_back(group.list, limits_, previous);

  for (size_t i = 0; i < watchers.size(); ++i) {
    Watcher* watcher = watchers[i];
    if (watcher == nullptr) continue;
    CountBehind(watcher, -1);
    const uint32_t group = step->watcher_groups[i];
    const bool delivered =
        step->status.ok() && (step->groups[group].list.empty() ||
                              Deliver(watcher, selections[group], complete ? flushed_revision_ : 0));
    if (delivered)
      watcher->next_revision =
          std::max(watcher->next_revision, complete ? flushed_revision_ + 1 : step->scanned_to);
    if (delivered && complete) {
      PutSynced(watcher);
    } else {
      PutBehind(watcher);
    }
  }
  DropTailIfIdle();
}

void WatchHub::AbandonSteps() {
  for (auto& step : steps_) {
    if (step == nullptr) continue;
    const std::vector<Watcher*> watchers = std::move(step->watchers);
    step.reset();
    for (Watcher* watcher : watchers) {
      if (watcher == nullptr) continue;
      CountBehind(watcher, -1);
      PutBehind(watcher);
    }
  }
  DropTailIfIdle();
}

}  // namespace quorate::mvcc
