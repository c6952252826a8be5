// Whether the data directory is the one that the last process of this member left behind. A random epoch lies
// in it, renewed at every start and every clean end; the same epoch lies in a directory that does not survive
// a boot of the machine (/run). Equal epochs of one boot show continuity. A newer epoch in /run is proof that
// the data directory was set back. Beside the epoch /run holds how far the member's log had come, for images
// that were taken while the process ran: written before anything that shows it leaves the process, so that it
// is exact. That takes one small write into memory, since what does not survive a boot lies there.
//
// Files, one line each, closed by its CRC-32C:
//   <data-dir>/quorate/epoch         "quorate-epoch 1 LINEAGE SEQUENCE NONCE crc=HEX"
//   <run-dir>/ID-HASH.epoch          "quorate-run 1 LINEAGE SEQUENCE NONCE BOOT END TERM VOTE INDEX crc=HEX"
// LINEAGE is chosen when the first is made; END is the log's last index after a clean end and "running"
// before. TERM, VOTE and INDEX are what other members may have seen. The second is filled up with line feeds,
// so that it can be written over in place. A file that can't be read counts as none. The first is durable
// before the second is written, so that a crash in between looks like nothing worse than a start without
// /run.
//
// Owner: the core's thread, except for Begin, which may run on another while nothing else does.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "server/lost_log.h"

namespace quorate::server {

struct Epoch {
  uint64_t lineage = 0;
  uint64_t sequence = 0;
  uint64_t nonce = 0;

  friend bool operator==(const Epoch&, const Epoch&) = default;
};

struct RunRecord {
  Epoch epoch;
  std::string boot_id;
  LogPosition position;                  // What others may have seen.
  std::optional<raft::Index> end_index;  // The last index in the log, of a process that has ended cleanly.

  friend bool operator==(const RunRecord&, const RunRecord&) = default;
};

std::string EncodeEpoch(const Epoch& epoch);
StatusOr<Epoch> DecodeEpoch(std::string_view line);
std::string EncodeRunRecord(const RunRecord& record);
StatusOr<RunRecord> DecodeRunRecord(std::string_view line);

// The name of the second file in the run directory.
std::string RunRecordName(uint64_t member_id, const std::string& own_dir);

enum class Finding { kContinuous, kUnknown, kWentBack };
struct StartFinding {
  Finding finding = Finding::kUnknown;
  std::string why;  // In words; of kWentBack: the proof.
};
// What the two records say together with the disk.
StartFinding Judge(const std::optional<Epoch>& stored, const std::optional<RunRecord>& run,
                   std::string_view boot_id, const LogPosition& disk);

class Continuity {
 public:
  // `own_dir`: <data-dir>/quorate. Without a run directory or a boot ID no start is continuous.
  Continuity(FileSystem* files, Random* random, std::string own_dir, std::string run_dir,
             std::string boot_id);

  // Reads both records and judges; changes nothing.
  StartFinding Examine(uint64_t member_id, const LogPosition& disk);
  // What a new epoch needs of chance. On the owner's thread, to whom the source belongs.
  struct Numbers {
    uint64_t lineage = 0;
    uint64_t nonce = 0;
  };
  Numbers Draw();
  // A new epoch for this process, after Examine; any one thread. An error of the run directory is only
  // logged.
  Status Begin(const LogPosition& position, const Numbers& numbers);
  // How far the log has come, into the run directory only. Never waits for a disk.
  void SaveWitness(const LogPosition& position);
  // A new epoch for the next start.
  Status End(const LogPosition& position, raft::Index end_index);
  // The only voter has no epoch: what it does alone must not look continuous later.
  Status Remove();

 private:
  Status Advance(const LogPosition& position, std::optional<raft::Index> end_index, const Numbers& numbers);
  void WriteRun(const LogPosition& position, std::optional<raft::Index> end_index);
  void SayThatRunFailed(const Status& status);

  FileSystem* const files_;
  Random* const random_;
  const std::string path_;
  const std::string own_dir_;
  const std::string run_dir_;
  const std::string boot_id_;
  std::string run_path_;  // Empty: no run directory.
  std::unique_ptr<File> run_file_;
  std::optional<Epoch> epoch_;
  bool run_failed_ = false;
};

}  // namespace quorate::server
