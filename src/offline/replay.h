// Applies entries of an archived log to a database that no server has open, through the appliers that servers
// use: so the same log gives the same revisions and hashes as it gave there. One thread, on which everything
// runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/env_sim.h"
#include "base/status.h"
#include "raft/types.h"

namespace quorate::offline {

class Replay {
 public:
  // `clock` and `random` must outlive it, as `files` must; `random` is good for secrets.
  static StatusOr<std::unique_ptr<Replay>> Open(FileSystem* files, Clock* clock, Random* random,
                                                const std::string& db_path);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // The one after index(). What the log's requests are refused is as it was then, and no error; DataLoss for
  // an entry that can't be applied.
  Status Apply(const raft::Entry& entry);
  uint64_t index() const;
  int64_t revision() const;
  // HashKV at revision().
  StatusOr<uint32_t> HashKv();
  // Everything is in the file, synced. Nothing may be called afterwards.
  Status Close();

 private:
  struct State;
  explicit Replay(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace quorate::offline
