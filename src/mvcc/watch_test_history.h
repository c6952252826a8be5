// A dumb store for the tests of the watch hub: every change that was ever made, in a list.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/wire.h"
#include "mvcc/watch_history.h"

namespace quorate::mvcc {

struct TestChange {
  Revision revision;
  EventType type = EventType::kPut;
  bool create = false;
  std::string key;
  std::string key_value;

  Event AsEvent() const { return {type, revision, create, key, key_value}; }
};

class TestHistory final : public WatchHistory {
 public:
  using Changes = std::vector<std::shared_ptr<const TestChange>>;

  // One transaction: a value, or nothing for a delete (of a key that exists), for each key.
  EventBatch Commit(const std::vector<std::pair<std::string, std::optional<std::string>>>& writes) {
    ++current_;
    auto changes = std::make_shared<Changes>(*all_);
    auto pin = std::make_shared<Changes>();
    int64_t sub = 0;
    for (const auto& [key, value] : writes) {
      auto change = std::make_shared<TestChange>();
      change->revision = {current_, sub++};
      change->key = key;
      State& state = keys_[key];
      wire::AppendBytesField(change->key_value, 1, key);
      if (value.has_value()) {
        change->create = state.version == 0;
        if (change->create) state.create_revision = current_;
        ++state.version;
        wire::AppendVarintField(change->key_value, 2, static_cast<uint64_t>(state.create_revision));
        wire::AppendVarintField(change->key_value, 3, static_cast<uint64_t>(current_));
        wire::AppendVarintField(change->key_value, 4, static_cast<uint64_t>(state.version));
        wire::AppendBytesField(change->key_value, 5, *value);
      } else {
        change->type = EventType::kDelete;
        state = {};
        wire::AppendVarintField(change->key_value, 3, static_cast<uint64_t>(current_));
      }
      changes->push_back(change);
      pin->push_back(change);
    }
    all_ = changes;
    EventBatch batch{current_, {}, pin};
    for (const auto& change : *pin) batch.events.push_back(change->AsEvent());
    return batch;
  }

  bool Exists(const std::string& key) const {
    const auto it = keys_.find(key);
    return it != keys_.end() && it->second.version != 0;
  }

  void Compact(int64_t revision) { compacted_ = revision; }
  const Changes& all() const { return *all_; }
  void set_resident(bool resident) { resident_ = resident; }
  void set_failing(bool failing) { failing_ = failing; }

  int64_t current_revision() const override { return ++times_asked_, current_; }
  size_t times_asked() const { return times_asked_; }  // For the above.
  int64_t compacted_revision() const override { return compacted_; }

  // The version of the key that was visible then, compacted or not.
  const TestChange* Visible(std::string_view key, int64_t at) const {
    const TestChange* found = nullptr;
    for (const auto& change : *all_) {
      if (change->revision.main > at) break;
      if (change->key == key) found = change.get();
    }
    return found != nullptr && found->type == EventType::kPut ? found : nullptr;
  }

  std::optional<Revision> Find(std::string_view key, int64_t at) const override {
    if (at < compacted_) return std::nullopt;
    const TestChange* found = Visible(key, at);
    return found != nullptr ? std::optional(found->revision) : std::nullopt;
  }

  bool ReadResident(Revision revision, std::string& out) const override {
    if (!resident_) return false;
    for (const auto& change : *all_) {
      if (change->revision != revision) continue;
      out += change->key_value;
      return true;
    }
    return false;
  }

  std::shared_ptr<HistoryReader> OpenReader() override {
    return std::make_shared<Reader>(all_, compacted_, failing_);
  }

 private:
  struct State {
    int64_t create_revision = 0;
    int64_t version = 0;
  };

  class Reader final : public HistoryReader {
   public:
    Reader(std::shared_ptr<const Changes> all, int64_t compacted, bool failing)
        : all_(std::move(all)), compacted_(compacted), failing_(failing) {}
    Status Scan(int64_t from, int64_t to, const std::function<bool(const Event&)>& visit) override {
      if (failing_) return DataLoss("page 7 is damaged");
      for (const auto& change : *all_) {
        const int64_t revision = change->revision.main;
        if (revision < from || revision >= to || revision < compacted_) continue;
        // The views must not be kept. NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
        const TestChange copy = *change;
        if (!visit(copy.AsEvent())) break;
      }
      return absl::OkStatus();
    }
    StatusOr<std::string_view> Read(Revision revision) override {
      for (const auto& change : *all_)
        if (change->revision == revision) return std::string_view(change->key_value);
      return NotFound("no such revision");
    }

   private:
    const std::shared_ptr<const Changes> all_;
    const int64_t compacted_;
    const bool failing_;
  };

  mutable size_t times_asked_ = 0;
  int64_t current_ = 1;
  int64_t compacted_ = -1;
  bool resident_ = true;
  bool failing_ = false;
  std::shared_ptr<const Changes> all_ = std::make_shared<Changes>();
  std::map<std::string, State> keys_;
};

}  // namespace quorate::mvcc
