#include <cinttypes>
#include <cstdio>

#include "cluster/member.h"
#include "cluster/v2_store.h"
#include "offline/dump.h"
#include "wal/log_reader.h"
#include "wal/snap_files.h"

namespace quorate::offline {
namespace {

std::string Join(const std::vector<uint64_t>& ids) {
  std::string text;
  for (const uint64_t id : ids) text += (text.empty() ? "" : ",") + cluster::IdText(id);
  return text;
}

std::string ConfStateText(const raft::ConfState& state) {
  return "voters=" + Join(state.voters) + (state.learners.empty() ? "" : " learners=" + Join(state.learners));
}

StatusOr<std::string> MetadataText(std::string_view data) {
  QUORATE_ASSIGN_OR_RETURN(const wal::WalMetadata metadata, wal::DecodeMetadata(data));
  return "metadata member=" + cluster::IdText(metadata.node_id) +
         " cluster=" + cluster::IdText(metadata.cluster_id);
}

StatusOr<std::string> StateText(std::string_view data) {
  QUORATE_ASSIGN_OR_RETURN(const raft::HardState state, wal::DecodeHardState(data));
  return "state term=" + std::to_string(state.term) + " vote=" + cluster::IdText(state.vote) +
         " commit=" + std::to_string(state.commit);
}

StatusOr<std::string> SnapshotText(std::string_view data) {
  QUORATE_ASSIGN_OR_RETURN(const wal::WalSnapshot snapshot, wal::DecodeWalSnapshot(data));
  std::string text =
      "snapshot term=" + std::to_string(snapshot.term) + " index=" + std::to_string(snapshot.index);
  if (snapshot.conf_state) text += " " + ConfStateText(*snapshot.conf_state);
  return text;
}

// Empty: the entry lies outside what was asked for.
StatusOr<std::string> EntryRecordText(std::string_view data, const LogDumpOptions& options) {
  QUORATE_ASSIGN_OR_RETURN(const raft::Entry entry, wal::DecodeEntry(data));
  if (entry.index < options.first_index || entry.index > options.last_index) return std::string();
  const auto request = EntryText(entry, options.text);
  return "entry term=" + std::to_string(entry.term) + " index=" + std::to_string(entry.index) + " " +
         std::string(EntryTypeText(entry.type)) + " " +
         (request.ok() ? *request : "(" + std::string(Message(request.status())) + ")");
}

StatusOr<std::string> RecordText(const wal::Record& record, const LogDumpOptions& options) {
  if (record.type == wal::kEntryRecord) return EntryRecordText(record.data, options);
  if (options.entries_only) return std::string();
  switch (record.type) {
    case wal::kMetadataRecord:
      return MetadataText(record.data);
    case wal::kStateRecord:
      return StateText(record.data);
    case wal::kSnapshotRecord:
      return SnapshotText(record.data);
    case wal::kCrcRecord: {
      char text[32];
      std::snprintf(text, sizeof text, "checksum %08" PRIx32, record.crc);
      return std::string(text);
    }
    default:
      return "record of the unknown type " + std::to_string(record.type);
  }
}

}  // namespace

Status DumpLog(FileSystem* files, const std::string& wal_dir, const LogDumpOptions& options,
               const LineFn& line) {
  QUORATE_ASSIGN_OR_RETURN(const auto reader, wal::WalReader::Open(files, wal_dir));
  std::string segment;
  wal::Record record;
  for (;;) {
    QUORATE_ASSIGN_OR_RETURN(const bool more, reader->Next(&record));
    if (!more) break;
    if (segment != reader->segment().name) {
      segment = reader->segment().name;
      QUORATE_RETURN_IF_ERROR(line(wal_dir + "/" + segment + ":"));
    }
    auto text = RecordText(record, options);
    if (!text.ok()) text = "(" + std::string(Message(text.status())) + ")";
    if (text->empty()) continue;
    char offset[24];
    std::snprintf(offset, sizeof offset, "%10" PRIu64 "  ", reader->record_offset());
    QUORATE_RETURN_IF_ERROR(line(offset + *text));
  }
  if (reader->end() == wal::LogEnd::kClean) return absl::OkStatus();
  return line("(the last record was cut short by a crash; the server cuts it off when it starts)");
}

Status DumpSnap(FileSystem* files, const std::string& path, const LineFn& line) {
  QUORATE_ASSIGN_OR_RETURN(const raft::Snapshot snapshot, wal::ReadSnapshotFile(files, path));
  QUORATE_RETURN_IF_ERROR(line("term=" + std::to_string(snapshot.metadata.term) +
                               " index=" + std::to_string(snapshot.metadata.index) + " " +
                               ConfStateText(snapshot.metadata.conf_state)));
  QUORATE_ASSIGN_OR_RETURN(const cluster::V2Store store, cluster::V2Store::Parse(snapshot.data));
  QUORATE_ASSIGN_OR_RETURN(const auto version, store.ClusterVersion());
  if (version) QUORATE_RETURN_IF_ERROR(line("cluster version " + cluster::VersionText(*version)));
  QUORATE_ASSIGN_OR_RETURN(const auto members, store.Members());
  for (const cluster::Member& member : members) {
    QUORATE_RETURN_IF_ERROR(line("member " + cluster::IdText(member.id) + " " + cluster::MemberJson(member)));
  }
  QUORATE_ASSIGN_OR_RETURN(const auto removed, store.RemovedIds());
  for (const uint64_t id : removed) QUORATE_RETURN_IF_ERROR(line("removed " + cluster::IdText(id)));
  return absl::OkStatus();
}

}  // namespace quorate::offline
