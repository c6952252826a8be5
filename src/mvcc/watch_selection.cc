#include "mvcc/watch_selection.h"

#include <algorithm>
#include <utility>

#include "base/wire.h"
#include "mvcc/watch_group.h"

namespace quorate::mvcc {
namespace {

// Field numbers of etcdserverpb.WatchResponse and mvccpb.Event, frozen.
constexpr uint32_t kResponseEvents = 11;
constexpr uint32_t kEventType = 1;
constexpr uint32_t kEventKv = 2;
constexpr uint32_t kEventPrevKv = 3;

bool Filtered(const Event& event, uint8_t flags) {
  return (flags & (event.type == EventType::kPut ? kWatchNoPut : kWatchNoDelete)) != 0;
}

}  // namespace

const WatchResponses& WatchSelection::For(uint8_t flags, int64_t from) {
  flags &= kWatchSelectionMask;
  size_t first = 0;
  if (events_.front()->revision.main < from) {
    const auto at =
        std::lower_bound(events_.begin(), events_.end(), from,
                         [](const Event* event, int64_t rev) { return event->revision.main < rev; });
    first = static_cast<size_t>(at - events_.begin());
  }
  for (const auto& entry : built_)
    if (entry->flags == flags && entry->first == first) return entry->responses;
  built_.push_back(std::make_unique<Entry>(Entry{flags, first, Build(flags, first)}));
  return built_.back()->responses;
}

WatchResponses WatchSelection::Build(uint8_t flags, size_t first) const {
  WatchResponses out;
  std::shared_ptr<WatchEvents> part;
  size_t revisions = 0;
  // Where the revision being added began in `part`, to take it back when it can't be completed.
  size_t revision_bytes = 0;
  size_t revision_events = 0;
  int64_t last_complete = 0;
  for (size_t i = first; i < events_.size(); ++i) {
    const Event& event = *events_[i];
    if (Filtered(event, flags)) continue;
    const int64_t revision = event.revision.main;
    if (part != nullptr && revision != part->last_revision) {
      if (part->bytes.size() >= limits_.bytes_max || revisions >= limits_.revisions_max) {
        out.parts.push_back(std::move(part));
        part = nullptr;
      } else {
        ++revisions;
        revision_bytes = part->bytes.size();
        revision_events = part->count();
        last_complete = std::exchange(part->last_revision, revision);
      }
    }
    if (part == nullptr) {
      part = std::make_shared<WatchEvents>();
      part->first_revision = part->last_revision = revision;
      revisions = 1;
      revision_bytes = revision_events = 0;
    }
    if (!AppendEvent(event, (flags & kWatchPrevKv) != 0, *part)) {
      part->bytes.resize(revision_bytes);
      part->ends.resize(revision_events);
      part->last_revision = last_complete;
      out.wait_at = revision;
      break;
    }
  }
  if (part != nullptr && part->count() > 0) out.parts.push_back(std::move(part));
  return out;
}

bool WatchSelection::AppendEvent(const Event& event, bool want_previous, WatchEvents& out) const {
  std::string previous;
  bool has_previous = false;
  if (want_previous && !(event.type == EventType::kPut && event.create)) {
    const PreviousState state = previous_(event, previous);
    if (state == PreviousState::kMustWait) return false;
    has_previous = state == PreviousState::kFound;
  }
  const auto type = static_cast<uint64_t>(event.type);
  const size_t size = (type != 0 ? wire::VarintFieldSize(kEventType, type) : 0) +
                      wire::BytesFieldSize(kEventKv, event.key_value.size()) +
                      (has_previous ? wire::BytesFieldSize(kEventPrevKv, previous.size()) : 0);
  if (out.bytes.empty()) out.bytes.reserve(wire::BytesFieldSize(kResponseEvents, size));
  wire::AppendVarint(out.bytes, wire::Tag(kResponseEvents, wire::Type::kBytes));
  wire::AppendVarint(out.bytes, size);
  wire::AppendVarintFieldNonZero(out.bytes, kEventType, type);
  wire::AppendBytesField(out.bytes, kEventKv, event.key_value);
  if (has_previous) wire::AppendBytesField(out.bytes, kEventPrevKv, previous);
  out.ends.push_back(out.bytes.size());
  return true;
}

}  // namespace quorate::mvcc
