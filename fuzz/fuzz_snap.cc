// A .snap file of any bytes, and the v2 store in it: a Status, or a state that takes changes and is the same
// after it was written and read again.
//
// Byte 0, modulo 3: the rest is 0 the file, 1 its raftpb.Snapshot, 2 the v2 store's JSON; checksums are put
// right for the latter two.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/env_sim.h"
#include "base/wire.h"
#include "cluster/membership.h"
#include "fuzz/input.h"
#include "wal/snap_files.h"

namespace quorate {
namespace {

constexpr uint64_t kLocalId = 1;
constexpr uint64_t kClusterId = 2;
constexpr uint64_t kNewId = 0xfeed;

std::string FileBytes(uint8_t mode, std::string_view bytes) {
  if (mode == 0) return std::string(bytes);
  if (mode == 1) {
    std::string file;
    wire::AppendVarintField(file, 1, crc32c::Value(bytes));
    wire::AppendBytesField(file, 2, bytes);
    return file;
  }
  raft::Snapshot snapshot;
  snapshot.metadata.index = 9;
  snapshot.metadata.term = 2;
  snapshot.metadata.conf_state.voters = {kLocalId};
  snapshot.data = bytes;
  return wal::EncodeSnapshotFile(snapshot);
}

// Applies the change if it may be, as the server does.
void Apply(cluster::Membership& membership, const raft::ConfChange& change) {
  if (membership.ValidateConfChange(change).ok()) membership.ApplyConfChange(change);
  membership.CheckInvariants();
}

void ChangeEverything(cluster::Membership& membership) {
  const std::map<uint64_t, cluster::Member> members = membership.members();
  for (const auto& [id, member] : members) {
    QUORATE_CHECK(membership.UpdateAttributes(id, {"renamed", {"http://c:1"}}).ok());
    Apply(membership, cluster::UpdateMemberChange(1, member));
    Apply(membership, cluster::PromoteMemberChange(2, id));
    Apply(membership, cluster::RemoveMemberChange(3, id));
  }
  cluster::Member added;
  added.id = kNewId;
  added.peer_urls = {"http://new:1"};
  Apply(membership, cluster::AddMemberChange(4, added));
  static_cast<void>(membership.SetVersion(cluster::kVersion35));
  membership.CheckInvariants();
}

void LoadStore(std::string_view json) {
  cluster::Membership membership(kLocalId, kClusterId, nullptr);
  if (!membership.LoadV2(json).ok()) return;
  membership.CheckInvariants();
  for (int round = 0; round < 2; ++round) {
    const std::string written = membership.V2Json();
    cluster::Membership again(kLocalId, kClusterId, nullptr);
    const Status loaded = again.LoadV2(written);
    QUORATE_CHECK_MSG(loaded.ok(), std::string(Message(loaded)) + ": " + written);
    QUORATE_CHECK(again.members() == membership.members() && again.V2Json() == written);
    if (round == 0) ChangeEverything(membership);
  }
}

void Run(fuzz::Input input) {
  const uint8_t mode = input.Byte() % 3;
  SimFileSystem files(1);
  const std::string dir = "/m/snap";
  QUORATE_CHECK(files.CreateDirectories(dir, 0700).ok());
  const std::string path = dir + "/" + wal::SnapshotName(2, 9);
  QUORATE_CHECK(files.WriteAtomically(path, FileBytes(mode, input.Rest()), 0600).ok());

  const auto snapshot = wal::ReadSnapshotFile(&files, path);
  wal::SnapshotFiles snaps(&files, dir);
  std::vector<wal::WalSnapshot> valid(1);
  if (snapshot.ok()) {
    valid[0].index = snapshot->metadata.index;
    valid[0].term = snapshot->metadata.term;
  }
  const auto newest = snaps.LoadNewest(valid);
  QUORATE_CHECK(newest.ok() && newest->has_value() == snapshot.ok());
  QUORATE_CHECK(files.Exists(path) == snapshot.ok());
  if (!snapshot.ok()) return;
  QUORATE_CHECK(**newest == *snapshot);
  QUORATE_CHECK(snaps.Save(*snapshot).ok());
  const auto saved =
      wal::ReadSnapshotFile(&files, dir + "/" + wal::SnapshotName(valid[0].term, valid[0].index));
  QUORATE_CHECK(saved.ok() && *saved == *snapshot);
  LoadStore(snapshot->data);
}

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::KeepQuiet();
  quorate::Run({data, size});
  return 0;
}
