// Every decoder of a message that comes from a client, a log or a row: it refuses, or what it gives is the
// same after encoding and decoding, and says what protobuf says of the same bytes.
//
// Byte 0, modulo the number of decoders, chooses one; the rest is the message.
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "auth/auth_types.h"
#include "auth/range_permissions.h"
#include "base/check.h"
#include "base/wire.h"
#include "cluster/member.h"
#include "cluster/urls.h"
#include "cluster/v2_request.h"
#include "cluster/version.h"
#include "fuzz/input.h"
#include "lease/lease_record.h"
#include "mvcc/key_value.h"
#include "mvcc/revision.h"
#include "raft/confchange_codec.h"
#include "raft_internal.pb.h"
#include "server/kv_applier.h"
#include "server/requests.h"
#include "server/txn_check.h"
#include "wal/codec.h"

namespace quorate {
namespace {

constexpr size_t kOpsMax = 16;

template <typename Message>
bool ParseAs(std::string_view bytes, Message* message) {
  return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

bool Same(const server::PutRequest& a, const server::PutRequest& b) {
  return a.key == b.key && a.value == b.value && a.lease == b.lease && a.prev_kv == b.prev_kv &&
         a.ignore_value == b.ignore_value && a.ignore_lease == b.ignore_lease;
}
bool Same(const server::DeleteRangeRequest& a, const server::DeleteRangeRequest& b) {
  return a.key == b.key && a.range_end == b.range_end && a.prev_kv == b.prev_kv;
}
bool Same(const server::RangeRequest& a, const server::RangeRequest& b) {
  return a.key == b.key && a.range_end == b.range_end && a.limit == b.limit && a.revision == b.revision &&
         a.sort_order == b.sort_order && a.sort_target == b.sort_target && a.serializable == b.serializable &&
         a.keys_only == b.keys_only && a.count_only == b.count_only &&
         a.min_mod_revision == b.min_mod_revision && a.max_mod_revision == b.max_mod_revision &&
         a.min_create_revision == b.min_create_revision && a.max_create_revision == b.max_create_revision;
}

// Protobuf also reads groups, which we refuse; it never refuses what we read.
template <typename View, typename Message>
bool AgreesWithProtobuf(std::string_view bytes, View* view) {
  Message message;
  const bool parsed = ParseAs(bytes, &message);
  if (!server::Decode(bytes, view)) return false;
  QUORATE_CHECK(parsed);
  QUORATE_CHECK(Same(*view, server::ToView(message)));
  return true;
}

void Put(std::string_view bytes) {
  server::PutRequest request;
  if (!AgreesWithProtobuf<server::PutRequest, etcdserverpb::PutRequest>(bytes, &request)) return;
  std::string encoded;
  server::Append(encoded, request);
  server::PutRequest again;
  QUORATE_CHECK(server::Decode(encoded, &again) && Same(again, request));
  QUORATE_CHECK(server::EncodePutEntry(request, {}) ==
                server::EncodeEntry(server::EntryKind::kPut, encoded, {}));
}

void DeleteRange(std::string_view bytes) {
  server::DeleteRangeRequest request;
  if (!AgreesWithProtobuf<server::DeleteRangeRequest, etcdserverpb::DeleteRangeRequest>(bytes, &request)) {
    return;
  }
  std::string encoded;
  server::Append(encoded, request);
  server::DeleteRangeRequest again;
  QUORATE_CHECK(server::Decode(encoded, &again) && Same(again, request));
}

void Range(std::string_view bytes) {
  server::RangeRequest request;
  if (!AgreesWithProtobuf<server::RangeRequest, etcdserverpb::RangeRequest>(bytes, &request)) return;
  static_cast<void>(server::CheckRange(request.key, request.sort_order, request.sort_target));
  static_cast<void>(server::ToRangeOptions(request));
}

void Txn(std::string_view bytes) {
  etcdserverpb::TxnRequest txn;
  if (!server::ParseTxn(bytes, &txn)) return;
  static_cast<void>(server::CheckTxn(txn, kOpsMax));
  static_cast<void>(server::IsReadOnly(txn));
  static_cast<void>(server::IsSerializable(txn));
}

void LogEntry(std::string_view bytes) {
  static_cast<void>(cluster::IsV2Request(bytes));
  server::EntryView entry;
  if (!server::DecodeEntry(bytes, &entry)) return;
  const std::string encoded = server::EncodeEntry(entry.kind, entry.body, entry.header);
  server::EntryView again;
  QUORATE_CHECK(server::DecodeEntry(encoded, &again));
  QUORATE_CHECK(again.kind == entry.kind && again.body == entry.body && again.header.id == entry.header.id &&
                again.header.username == entry.header.username &&
                again.header.auth_revision == entry.header.auth_revision);
  // Protobuf refuses more: it looks into the bodies, and wants names in UTF-8.
  etcdserverpb::InternalRaftRequest message;
  if (!ParseAs(bytes, &message)) return;
  const uint64_t id = message.has_header() ? message.header().id() : 0;
  QUORATE_CHECK(entry.header.id == id || entry.header.id == message.id());
  QUORATE_CHECK(entry.header.username == message.header().username() &&
                entry.header.auth_revision == message.header().auth_revision());
}

void V2Request(std::string_view bytes) {
  const auto request = cluster::DecodeV2Request(bytes);
  if (!request.ok()) return;
  const auto again = cluster::DecodeV2Request(cluster::EncodeV2Request(*request));
  QUORATE_CHECK(again.ok() && *again == *request);
  uint64_t member_id = 0;
  static_cast<void>(cluster::ClassifyV2Request(*request, &member_id));
}

void ConfChange(std::string_view bytes) {
  const auto change = raft::DecodeConfChange(bytes);
  if (change.ok()) {
    const auto again = raft::DecodeConfChange(raft::EncodeConfChange(*change));
    QUORATE_CHECK(again.ok() && *again == *change);
    static_cast<void>(cluster::ParseConfChangeContext(change->context));
  }
  const auto v2 = raft::DecodeConfChangeV2(bytes);
  if (!v2.ok()) return;
  const auto again = raft::DecodeConfChangeV2(raft::EncodeConfChange(*v2));
  QUORATE_CHECK(again.ok() && *again == *v2);
}

void WireFields(std::string_view bytes) {
  wire::Reader reader(bytes);
  size_t fields = 0;
  while (reader.Next()) {
    ++fields;
    if (reader.type() != wire::Type::kBytes || reader.bytes().empty()) continue;
    const char* const end = reader.bytes().data() + reader.bytes().size();
    QUORATE_CHECK(reader.bytes().data() > bytes.data() && end <= bytes.data() + bytes.size());
  }
  // A field takes two bytes at least.
  QUORATE_CHECK(fields <= bytes.size() / 2);
}

void KeyValue(std::string_view bytes) {
  mvcc::KeyValue kv;
  if (!mvcc::Decode(bytes, &kv)) return;
  std::string encoded(mvcc::EncodedSize(kv), '\0');
  QUORATE_CHECK(mvcc::Encode(kv, encoded.data()) == encoded.data() + encoded.size());
  QUORATE_CHECK(mvcc::EncodedKey(encoded, kv.key.size()) == kv.key);
  mvccpb::KeyValue message;
  QUORATE_CHECK(ParseAs(encoded, &message));
  QUORATE_CHECK(message.key() == kv.key && message.value() == kv.value && message.lease() == kv.lease &&
                message.create_revision() == kv.create_revision &&
                message.mod_revision() == kv.mod_revision && message.version() == kv.version);
  const server::KeyValueView view = server::ParseKeyValue(encoded);
  QUORATE_CHECK(view.key == kv.key && view.value == kv.value && view.version == kv.version);
  mvcc::Revision revision;
  bool tombstone = false;
  if (!mvcc::DecodeRevision(kv.key, &revision, &tombstone)) return;
  QUORATE_CHECK(mvcc::EncodeRevision(revision, tombstone).view() == kv.key);
}

void User(std::string_view bytes) {
  const auto user = auth::DecodeUser(bytes);
  if (!user.ok()) return;
  const auto again = auth::DecodeUser(auth::Encode(*user));
  QUORATE_CHECK(again.ok() && *again == *user);
}

void Role(std::string_view bytes) {
  const auto role = auth::DecodeRole(bytes);
  if (!role.ok()) return;
  const auto again = auth::DecodeRole(auth::Encode(*role));
  QUORATE_CHECK(again.ok() && *again == *role);
  auth::RangeSet set;
  for (const auto& permission : role->permissions) set.Add(permission.key, permission.range_end);
  set.Finish();
  for (const auto& permission : role->permissions) {
    if (!auth::IsValidPermissionRange(permission.key, permission.range_end) || permission.key.empty())
      continue;
    QUORATE_CHECK(set.Covers(permission.key, permission.range_end));
  }
}

void Lease(std::string_view bytes) {
  const std::string_view key = bytes.substr(0, 8);
  const auto record = lease::DecodeLeaseRecord(key, bytes.substr(key.size()));
  if (!record.ok()) return;
  QUORATE_CHECK(lease::EncodeLeaseKey(record->id) == key);
  const auto again = lease::DecodeLeaseRecord(key, lease::EncodeLeaseRecord(*record));
  QUORATE_CHECK(again.ok() && *again == *record);
}

template <typename T>
void RoundTrip(std::string_view bytes, StatusOr<T> (*decode)(std::string_view),
               void (*append)(std::string&, const T&)) {
  const StatusOr<T> value = decode(bytes);
  if (!value.ok()) return;
  std::string encoded;
  append(encoded, *value);
  const StatusOr<T> again = decode(encoded);
  QUORATE_CHECK(again.ok() && *again == *value);
}

void LogRecord(std::string_view bytes) {
  RoundTrip<raft::Entry>(bytes, wal::DecodeEntry, wal::AppendEntry);
  RoundTrip<raft::HardState>(bytes, wal::DecodeHardState, wal::AppendHardState);
  RoundTrip<raft::ConfState>(bytes, wal::DecodeConfState, wal::AppendConfState);
  RoundTrip<raft::SnapshotMetadata>(bytes, wal::DecodeSnapshotMetadata, wal::AppendSnapshotMetadata);
  RoundTrip<raft::Snapshot>(bytes, wal::DecodeSnapshot, wal::AppendSnapshot);
  RoundTrip<wal::WalMetadata>(bytes, wal::DecodeMetadata, wal::AppendMetadata);
  RoundTrip<wal::WalSnapshot>(bytes, wal::DecodeWalSnapshot, wal::AppendWalSnapshot);
  const auto entry = wal::DecodeEntry(bytes);
  if (entry.ok()) {
    std::string encoded;
    wal::AppendEntry(encoded, *entry);
    QUORATE_CHECK(raft::EncodedSize(*entry) == encoded.size());
    static_cast<void>(raft::DecodeConfChange(*entry));
  }
  wal::Record record;
  if (!wal::DecodeRecord(bytes, &record)) return;
  std::string encoded;
  wal::AppendRecord(encoded, record);
  wal::Record again;
  QUORATE_CHECK(wal::DecodeRecord(encoded, &again));
  QUORATE_CHECK(again.type == record.type && again.crc == record.crc && again.data == record.data);
}

void MemberText(std::string_view bytes) {
  const auto member = cluster::ParseMember(bytes);
  if (member.ok()) {
    const auto again = cluster::ParseMember(cluster::MemberJson(*member));
    QUORATE_CHECK(again.ok() && *again == *member);
  }
  cluster::Member raft_attributes;
  static_cast<void>(cluster::ParseRaftAttributes(bytes, &raft_attributes));
  static_cast<void>(cluster::ParseAttributes(bytes));
  static_cast<void>(cluster::ParseConfChangeContext(bytes));
}

void UrlText(std::string_view bytes) {
  const auto urls = cluster::ParseUrlList(bytes);
  if (urls.ok()) {
    const auto again = cluster::ParseUrls(*urls);
    QUORATE_CHECK(again.ok() && *again == *urls);
  }
  static_cast<void>(cluster::ParseInitialCluster(bytes));
  const auto version = cluster::ParseVersion(bytes);
  if (!version.ok()) return;
  const auto again = cluster::ParseVersion(cluster::VersionText(*version));
  QUORATE_CHECK(again.ok() && *again == *version);
}

constexpr void (*kDecoders[])(std::string_view) = {Put,       DeleteRange, Range,      Txn,        LogEntry,
                                                   V2Request, ConfChange,  WireFields, KeyValue,   User,
                                                   Role,      Lease,       LogRecord,  MemberText, UrlText};

}  // namespace
}  // namespace quorate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quorate::fuzz::KeepQuiet();
  google::protobuf::SetLogHandler(nullptr);
  quorate::fuzz::Input input(data, size);
  const uint8_t choice = input.Byte();
  quorate::kDecoders[choice % std::size(quorate::kDecoders)](input.Rest());
  return 0;
}
