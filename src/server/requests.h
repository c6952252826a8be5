// The three requests of the fast path as views into their bytes, and the frame around every request in the
// raft log. Decoding is strict about lengths and, as protobuf is, lenient about unknown fields; encoding is
// canonical (ascending field numbers, zero values left out), so the same request always gives the same log
// bytes. Field numbers: proto/rpc.proto, proto/raft_internal.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quorate::server {

// Views live as long as the decoded bytes.
struct PutRequest {
  std::string_view key;
  std::string_view value;
  int64_t lease = 0;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteRangeRequest {
  std::string_view key;
  std::string_view range_end;
  bool prev_kv = false;
};

// Enums stay numbers: an unknown one is the caller's to judge.
struct RangeRequest {
  std::string_view key;
  std::string_view range_end;
  int64_t limit = 0;
  int64_t revision = 0;
  int32_t sort_order = 0;
  int32_t sort_target = 0;
  bool serializable = false;
  bool keys_only = false;
  bool count_only = false;
  int64_t min_mod_revision = 0;
  int64_t max_mod_revision = 0;
  int64_t min_create_revision = 0;
  int64_t max_create_revision = 0;
};

// False on malformed bytes.
bool Decode(std::string_view bytes, PutRequest* out);
bool Decode(std::string_view bytes, DeleteRangeRequest* out);
bool Decode(std::string_view bytes, RangeRequest* out);

void Append(std::string& out, const PutRequest& request);
void Append(std::string& out, const DeleteRangeRequest& request);

// Which field of InternalRaftRequest an entry carries; the number is the field's.
enum class EntryKind : uint32_t {
  kNone = 0,
  kRange = 3,
  kPut = 4,
  kDeleteRange = 5,
  kTxn = 6,
  kCompaction = 7,
  kLeaseGrant = 8,
  kLeaseRevoke = 9,
  kAlarm = 10,
  kLeaseCheckpoint = 11,
  kAuthEnable = 1000,
  kAuthDisable = 1011,
  kAuthenticate = 1012,
  kAuthStatus = 1013,
  kAuthUserAdd = 1100,
  kAuthUserDelete = 1101,
  kAuthUserGet = 1102,
  kAuthUserChangePassword = 1103,
  kAuthUserGrantRole = 1104,
  kAuthUserRevokeRole = 1105,
  kAuthUserList = 1106,
  kAuthRoleList = 1107,
  kAuthRoleAdd = 1200,
  kAuthRoleDelete = 1201,
  kAuthRoleGet = 1202,
  kAuthRoleGrantPermission = 1203,
  kAuthRoleRevokePermission = 1204,
  kClusterVersionSet = 1300,
  kClusterMemberAttrSet = 1301,
  kDowngradeInfoSet = 1302,
  kDowngradeVersionTest = 9900,
};

// Who asked. Empty user name: authentication is off, or a request of the server's own.
struct RequestHeader {
  uint64_t id = 0;
  std::string_view username;
  uint64_t auth_revision = 0;
};

struct EntryView {
  RequestHeader header;
  EntryKind kind = EntryKind::kNone;
  uint32_t field = 0;  // The raw number, for the message about an unknown kind.
  std::string_view body;
};

// Parses the data of a normal entry (InternalRaftRequest). False on malformed bytes or when it holds no
// request.
bool DecodeEntry(std::string_view data, EntryView* out);

// The data of an entry holding `body`, an encoded request of the kind.
std::string EncodeEntry(EntryKind kind, std::string_view body, const RequestHeader& header);
// The same without an intermediate buffer.
std::string EncodePutEntry(const PutRequest& request, const RequestHeader& header);

}  // namespace quorate::server
