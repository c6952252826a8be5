// For the tests of this folder: a log in a simulated file system.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/env_sim.h"
#include "base/test_seed.h"
#include "wal/wal.h"

namespace quorate::wal {

constexpr std::string_view kDir = "/d/member/wal";

inline raft::Entry MakeEntry(uint64_t term, uint64_t index, std::string data) {
  raft::Entry entry;
  entry.term = term;
  entry.index = index;
  entry.data = raft::Payload(std::move(data));
  return entry;
}

inline std::vector<raft::Entry> MakeEntries(uint64_t term, uint64_t first, uint64_t count,
                                            size_t bytes = 20) {
  std::vector<raft::Entry> entries;
  for (uint64_t i = 0; i < count; ++i) {
    entries.push_back(
        MakeEntry(term, first + i, std::string(bytes, static_cast<char>('a' + (first + i) % 26))));
  }
  return entries;
}

inline WalOptions SmallSegments(uint64_t bytes = 4096) {
  WalOptions options;
  options.segment_bytes = bytes;
  return options;
}

inline StatusOr<std::unique_ptr<Wal>> CreateLog(FileSystem* files, WalOptions options = SmallSegments()) {
  QUORATE_RETURN_IF_ERROR(files->CreateDirectories("/d/member", 0700));
  QUORATE_RETURN_IF_ERROR(files->SyncDirectory("/"));
  QUORATE_RETURN_IF_ERROR(files->SyncDirectory("/d"));
  return Wal::Create(files, std::string(kDir), {11, 22}, std::move(options));
}

inline StatusOr<std::unique_ptr<Wal>> OpenLog(FileSystem* files, LogContents* contents,
                                              WalOptions options = SmallSegments(),
                                              const WalSnapshot& start = {}) {
  return Wal::Open(files, std::string(kDir), start, std::move(options), contents);
}

// One turn of the owner: append, take, write.
inline Status Save(Wal& wal, const std::vector<raft::Entry>& entries, const raft::HardState& state = {}) {
  wal.Append(entries, state);
  WalBatch batch = wal.TakeBatch();
  QUORATE_RETURN_IF_ERROR(wal.WriteAndSync(batch));
  wal.Recycle(std::move(batch));
  return absl::OkStatus();
}

inline std::vector<std::string> Names(FileSystem& files) { return *files.List(std::string(kDir)); }

}  // namespace quorate::wal
