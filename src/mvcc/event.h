// What a change looks like to those who watch.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "mvcc/revision.h"

namespace quorate::mvcc {

enum class EventType : uint8_t { kPut = 0, kDelete = 1 };  // mvccpb.Event.EventType, frozen

// One change of one key. Views live as long as the EventBatch or the callback that shows them.
struct Event {
  EventType type = EventType::kPut;
  Revision revision;
  bool create = false;  // A put that brought the key into being (create_revision == mod_revision).
  std::string_view key;
  std::string_view
      key_value;  // mvccpb.KeyValue, encoded as it is sent: for a delete only key and mod_revision are set.
};

// All events of one main revision, in order of sub revision; never empty.
struct EventBatch {
  int64_t revision = 0;
  std::vector<Event> events;
  std::shared_ptr<const void> pin;  // Keeps the bytes behind the views.
};

}  // namespace quorate::mvcc
