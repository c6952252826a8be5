// A sink for the tests of the watch hub: decodes what it is given and checks what must always hold.
#pragma once

#include <gtest/gtest.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/wire.h"
#include "mvcc/watch_hub.h"

namespace quorate::mvcc {

struct Received {
  EventType type = EventType::kPut;
  int64_t revision = 0;
  std::string key;
  std::string key_value;
  std::string previous;

  auto operator<=>(const Received&) const = default;  // NOLINT(modernize-use-nullptr): not a pointer
};

inline int64_t ModRevision(std::string_view key_value, std::string* key) {
  wire::Reader kv(key_value);
  int64_t revision = 0;
  while (kv.Next()) {
    if (kv.field() == 1) *key = kv.bytes();
    if (kv.field() == 3) revision = kv.int64();
  }
  return revision;
}

inline std::vector<Received> DecodeEvents(const WatchEvents& events) {
  std::vector<Received> out;
  wire::Reader response(events.bytes);
  while (response.Next()) {
    EXPECT_TRUE(response.Is(11, wire::Type::kBytes));
    Received received;
    wire::Reader event(response.bytes());
    while (event.Next()) {
      if (event.field() == 1) received.type = static_cast<EventType>(event.varint());
      if (event.field() == 2) received.key_value = event.bytes();
      if (event.field() == 3) received.previous = event.bytes();
    }
    EXPECT_TRUE(event.ok());
    received.revision = ModRevision(received.key_value, &received.key);
    out.push_back(std::move(received));
  }
  EXPECT_TRUE(response.ok());
  EXPECT_EQ(out.size(), events.count());
  EXPECT_EQ(events.ends.back(), events.bytes.size());
  EXPECT_EQ(out.front().revision, events.first_revision);
  EXPECT_EQ(out.back().revision, events.last_revision);
  return out;
}

class TestSink final : public WatchSink {
 public:
  bool full() const override { return room_ == 0; }
  void OnEvents(WatchId id, int64_t header_revision, std::shared_ptr<const WatchEvents> events,
                bool fragment) override {
    EXPECT_FALSE(full()) << "handed over to a full sink";
    if (room_ > 0) --room_;
    EXPECT_GE(header_revision, events->last_revision);
    auto& log = received[id];
    // Whole revisions: the next response starts after the last.
    if (!log.empty()) {
      EXPECT_GT(events->first_revision, log.back().revision);
    }
    for (Received& event : DecodeEvents(*events)) log.push_back(std::move(event));
    headers[id] = header_revision;
    fragments[id] = fragment;
    shared.push_back(std::move(events));
  }
  void OnCompacted(WatchId id, int64_t compact_revision) override {
    EXPECT_TRUE(compacted.emplace(id, compact_revision).second);
    if (on_compacted) on_compacted(id);
  }
  void OnProgress(WatchId id, int64_t header_revision) override {
    progress.emplace_back(id, header_revision);
    if (on_progress) on_progress(id, header_revision);
  }

  void set_room(int room) { room_ = room; }
  std::vector<int64_t> Revisions(WatchId id) {
    std::vector<int64_t> out;
    for (const Received& event : received[id]) out.push_back(event.revision);
    return out;
  }

  std::map<WatchId, std::vector<Received>> received;
  std::map<WatchId, int64_t> headers;
  std::map<WatchId, bool> fragments;
  std::vector<std::shared_ptr<const WatchEvents>> shared;
  std::map<WatchId, int64_t> compacted;
  std::vector<std::pair<WatchId, int64_t>> progress;
  std::function<void(WatchId, int64_t)> on_progress;
  std::function<void(WatchId)> on_compacted;

 private:
  int room_ = -1;  // -1: without end.
};

}  // namespace quorate::mvcc
