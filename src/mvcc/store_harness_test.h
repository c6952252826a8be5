// What the tests of the store share: a store in a simulated world, and a dumb model of it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/env_sim.h"
#include "base/logging.h"
#include "mvcc/backend.h"
#include "mvcc/key_value.h"
#include "mvcc/store.h"

namespace quorate::mvcc {

// Every lease exists.
class FakeLeases final : public LeaseBinding {
 public:
  Status Attach(int64_t lease_id, std::string_view key) override {
    bound[std::string(key)] = lease_id;
    return {};
  }
  void Detach(int64_t lease_id, std::string_view key) override {
    const auto found = bound.find(std::string(key));
    ASSERT_TRUE(found != bound.end() && found->second == lease_id);
    bound.erase(found);
  }
  int64_t LeaseOf(std::string_view key) const override {
    const auto found = bound.find(std::string(key));
    return found == bound.end() ? 0 : found->second;
  }
  std::map<std::string, int64_t> bound;
};

// A backend with a store, on the simulated disk, that can be killed and opened again.
struct World {
  explicit World(uint64_t seed, InlineExecutor::Mode mode = InlineExecutor::Mode::kImmediate)
      : files(seed),
        random(seed + 1),
        executor(mode, mode == InlineExecutor::Mode::kQueued ? &random : nullptr) {
    std::string error;
    log::Configure({.level = log::Level::kError}, &error);
    backend_options.map_bytes = 1 << 24;
    backend_options.on_fatal = [this](const Status& status) { fatal = status; };
  }
  ~World() { Forget(); }

  Env env() { return {&files, &clock, &random, &executor}; }

  Status Open() {
    fatal = {};
    leases.bound.clear();
    auto opened = Backend::Open(env(), "db", backend_options);
    if (!opened.ok()) return opened.status();
    backend = *std::move(opened);
    auto made = Store::Open(env(), backend.get(), &leases, store_options);
    if (!made.ok()) return made.status();
    store = *std::move(made);
    return {};
  }
  // As when the process dies: what is in memory is gone.
  void Forget() {
    executor.Drop();
    store.reset();
    backend.reset();
  }
  Status Close() {
    store.reset();
    Status status = backend->Close();
    executor.Drop();
    backend.reset();
    return status;
  }
  void Settle() {
    do {
      while (store->busy()) {
        store->Step(10);
        executor.RunUntilIdle();
      }
      executor.RunUntilIdle();
    } while (store->busy());
  }

  // A while passes in the loop of the core.
  void Turn() {
    executor.RunUntilIdle();
    clock.Advance(25'000'000);
    backend->MaybeCommit(clock.MonotonicNanos());
    executor.RunUntilIdle();
  }
  // Until it has answered. `each` is called between its steps.
  Status Defragment(const std::function<void()>& each = {}) {
    std::optional<Status> result;
    backend->Defragment([&result](const Status& status) { result = status; });
    for (int turns = 0; !result && fatal.ok() && turns < 10'000; ++turns) {
      if (each) each();
      Turn();
    }
    return result.value_or(Unknown("not answered"));
  }

  StatusOr<HashKvResult> HashKv(int64_t revision) {
    StatusOr<HashKvResult> result = Unknown("not called");
    store->HashKv(revision, [&result](StatusOr<HashKvResult> hash) { result = std::move(hash); });
    Settle();
    return result;
  }

  SimFileSystem files;
  SimClock clock;
  SeededRandom random;
  InlineExecutor executor;
  BackendOptions backend_options;
  StoreOptions store_options;
  FakeLeases leases;
  Status fatal;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Store> store;
};

// Bucket `key` as a map, and every question answered by walking all of it.
struct Model {
  struct Record {
    bool tombstone = false;
    std::string key;
    int64_t created = 0;
    int64_t version = 0;
    std::string value;
    int64_t lease = 0;
    bool operator==(const Record&) const = default;
  };
  using Pairs = std::vector<std::pair<Revision, Record>>;

  std::map<Revision, Record> records;
  int64_t current = 1;
  int64_t compacted = -1;
  bool keep_tombstone = false;

  // In order of keys.
  Pairs At(std::string_view key, std::string_view end, int64_t at) const {
    std::map<std::string, std::pair<Revision, Record>> newest;
    for (const auto& [revision, record] : records) {
      if (revision.main > at) break;
      const bool inside =
          end.empty() ? record.key == key : record.key >= key && (IsOpenEnd(end) || record.key < end);
      if (inside) newest[record.key] = {revision, record};
    }
    Pairs result;
    for (const auto& [name, pair] : newest) {
      if (!pair.second.tombstone) result.push_back(pair);
    }
    return result;
  }

  void Put(Revision revision, const std::string& key, const std::string& value, int64_t lease) {
    const Pairs before = At(key, "", revision.main);
    Record record{false, key, revision.main, 1, value, lease};
    if (!before.empty()) {
      record.created = before[0].second.created;
      record.version = before[0].second.version + 1;
    }
    records[revision] = record;
  }

  // Returns the number of changes made.
  int64_t DeleteRange(Revision revision, std::string_view key, std::string_view end) {
    const Pairs there = At(key, end, revision.main);
    for (const auto& [old, record] : there) {
      records[revision] = {true, record.key, 0, 0, "", 0};
      ++revision.sub;
    }
    return static_cast<int64_t>(there.size());
  }

  void Compact(int64_t at) {
    compacted = at;
    std::map<std::string, Revision> newest;
    for (const auto& [revision, record] : records) {
      if (revision.main <= at) newest[record.key] = revision;
    }
    std::erase_if(records, [&](const auto& entry) {
      const auto& [revision, record] = entry;
      if (revision.main > at) return false;
      if (newest[record.key] != revision) return true;
      return record.tombstone && !(keep_tombstone && revision.main == at);
    });
  }

  std::map<std::string, int64_t> Leases() const {
    std::map<std::string, int64_t> result;
    for (const auto& [revision, record] : At("", std::string_view("\0", 1), current)) {
      if (record.lease != 0) result[record.key] = record.lease;
    }
    return result;
  }

  static std::string Encoded(Revision revision, const Record& record) {
    KeyValue kv;
    kv.key = record.key;
    if (!record.tombstone)
      kv = {record.key, record.created, revision.main, record.version, record.value, record.lease};
    std::string bytes(EncodedSize(kv), '\0');
    Encode(kv, bytes.data());
    return bytes;
  }

  // For a store whose deletions are done.
  uint32_t HashKv(int64_t at) const {
    const Pairs kept = At("", std::string_view("\0", 1), at);
    uint32_t crc = crc32c::Value("key");
    for (const auto& [revision, record] : records) {
      if (revision.main > at) break;
      if (revision.main <= compacted && !kept.empty()) {
        const Revision wanted = revision;
        const auto is_kept = [wanted](const auto& pair) { return pair.first == wanted; };
        if (std::none_of(kept.begin(), kept.end(), is_kept)) continue;
      }
      if (keep_tombstone && record.tombstone && revision.main == compacted) continue;
      crc = crc32c::Extend(crc, EncodeRevision(revision, record.tombstone).view());
      crc = crc32c::Extend(crc, Encoded(revision, record));
    }
    return crc;
  }
};

// All records of the store's bucket `key`.
inline std::map<Revision, std::string> Records(const Backend& backend) {
  std::map<Revision, std::string> result;
  const Status status = backend.View().Scan(
      {0, 0}, {INT64_MAX, 0}, [&](Revision revision, bool tombstone, std::string_view value) {
        result[revision] = std::string(tombstone ? "t" : "p") + std::string(value);
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  return result;
}

inline std::map<Revision, std::string> Records(const Model& model) {
  std::map<Revision, std::string> result;
  for (const auto& [revision, record] : model.records) {
    result[revision] = (record.tombstone ? "t" : "p") + Model::Encoded(revision, record);
  }
  return result;
}

}  // namespace quorate::mvcc
