#include "backup/log_segment.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <tuple>
#include <utility>

#include "backup/utc_time.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/logging.h"
#include "base/wire.h"
#include "cluster/member.h"
#include "wal/codec.h"

namespace quorate::backup {
namespace {

constexpr std::string_view kMagic = "QRTLOG1\n";
constexpr std::string_view kPrefix = "log-";
// Entries and rows are everything that the cluster was told, passwords perhaps among it.
constexpr uint32_t kFileMode = 0600;
constexpr size_t kFrameHeaderBytes = 8;
// More than any entry that raft takes.
constexpr uint32_t kPayloadBytesMax = uint32_t{1} << 30;
// Fields of the header's payload.
enum HeaderField : uint32_t {
  kStarted = 1,
  kFirst = 2,
  kMember = 3,
  kCluster = 4,
  kBeforeTerm = 5,
  kBeforeCrc = 6
};

void AppendFrame(std::string& out, std::string_view payload) {
  char head[kFrameHeaderBytes];
  StoreLittle(head, static_cast<uint32_t>(payload.size()));
  StoreLittle(head + 4, crc32c::Value(payload));
  out.append(head, sizeof head);
  out.append(payload);
}

std::string EncodeHeader(const SegmentHeader& header) {
  std::string out;
  wire::AppendVarintField(out, kStarted, static_cast<uint64_t>(header.name.started_unix_nanos));
  wire::AppendVarintField(out, kFirst, header.name.first_index);
  wire::AppendVarintField(out, kMember, header.name.member_id);
  wire::AppendVarintField(out, kCluster, header.name.cluster_id);
  if (header.before && header.before->crc) {
    wire::AppendVarintField(out, kBeforeTerm, header.before->term);
    wire::AppendVarintField(out, kBeforeCrc, *header.before->crc);
  }
  return out;
}

std::optional<SegmentHeader> DecodeHeader(std::string_view payload) {
  SegmentHeader header;
  std::optional<uint64_t> term;
  std::optional<uint64_t> crc;
  wire::Reader in(payload);
  while (in.Next()) {
    if (in.type() != wire::Type::kVarint) continue;
    if (in.field() == kStarted) header.name.started_unix_nanos = in.int64();
    if (in.field() == kFirst) header.name.first_index = in.varint();
    if (in.field() == kMember) header.name.member_id = in.varint();
    if (in.field() == kCluster) header.name.cluster_id = in.varint();
    if (in.field() == kBeforeTerm) term = in.varint();
    if (in.field() == kBeforeCrc) crc = in.varint();
  }
  if (!in.ok() || header.name.first_index == 0) return std::nullopt;
  if (term && crc) header.before = EntryMark{header.name.first_index - 1, *term, static_cast<uint32_t>(*crc)};
  return header;
}

// Takes one frame off `rest`; false at the end and where no whole frame stands.
bool TakeFrame(std::string_view* rest, std::string_view* payload) {
  if (rest->size() < kFrameHeaderBytes) return false;
  const auto length = LoadLittle<uint32_t>(rest->data());
  const auto crc = LoadLittle<uint32_t>(rest->data() + 4);
  if (length > kPayloadBytesMax || length > rest->size() - kFrameHeaderBytes) return false;
  const std::string_view found = rest->substr(kFrameHeaderBytes, length);
  if (crc32c::Value(found) != crc) return false;
  *payload = found;
  rest->remove_prefix(kFrameHeaderBytes + length);
  return true;
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* value, int base = 10) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

// As far as whole frames of the next entry stand there; returns where that ends.
size_t ReadEntries(std::string_view rest, size_t file_bytes, Segment* segment) {
  std::string_view payload;
  for (uint64_t next = segment->header.name.first_index;; ++next) {
    const size_t offset = file_bytes - rest.size();
    if (!TakeFrame(&rest, &payload)) return offset;
    auto entry = wal::DecodeEntry(payload);
    if (!entry.ok() || entry->index != next) return offset;
    segment->entries.push_back(*std::move(entry));
  }
}

void ReadRows(std::string_view text, Segment* segment) {
  const uint64_t last = segment->header.name.first_index + segment->entries.size() - 1;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    const auto row = DecodeRow(text.substr(0, end));
    if (!row) return;
    if (row->index <= last) {
      segment->rows.push_back(*row);
    } else {
      segment->lost_until = row->index;
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::string SegmentStem(const SegmentName& name) {
  return std::string(kPrefix) + CompactUtcText(name.started_unix_nanos) + "-i" +
         std::to_string(name.first_index) + "-m" + cluster::IdText(name.member_id) + "-c" +
         cluster::IdText(name.cluster_id);
}

std::optional<SegmentName> ParseSegmentName(std::string_view file_name, std::string_view suffix) {
  if (!file_name.starts_with(kPrefix) || !file_name.ends_with(suffix)) return std::nullopt;
  const std::string_view stem = file_name.substr(0, file_name.size() - suffix.size());
  const std::string_view fields = stem.substr(kPrefix.size());
  const size_t i = fields.find("-i");
  const size_t m = fields.find("-m", std::min(i, fields.size()));
  const size_t c = fields.find("-c", std::min(m, fields.size()));
  if (i == std::string_view::npos || m == std::string_view::npos || c == std::string_view::npos) {
    return std::nullopt;
  }
  const auto started = ParseCompactUtc(fields.substr(0, i));
  const auto member = cluster::ParseId(fields.substr(m + 2, c - m - 2));
  const auto cluster = cluster::ParseId(fields.substr(c + 2));
  SegmentName name;
  if (!started.ok() || !member.ok() || !cluster.ok()) return std::nullopt;
  if (!ParseNumber(fields.substr(i + 2, m - i - 2), &name.first_index)) return std::nullopt;
  name.started_unix_nanos = *started;
  name.member_id = *member;
  name.cluster_id = *cluster;
  if (SegmentStem(name) != stem) return std::nullopt;
  return name;
}

EntryMark MarkOf(const raft::Entry& entry) {
  return {entry.index, entry.term, crc32c::Value(entry.data.view())};
}

std::string EncodeRow(const IndexRow& row) {
  std::string line =
      UtcText(row.unix_nanos) + " " + std::to_string(row.index) + " " + std::to_string(row.revision);
  char crc[16];
  std::snprintf(crc, sizeof crc, " %08x\n", crc32c::Value(line));
  return line + crc;
}

std::optional<IndexRow> DecodeRow(std::string_view line) {
  const size_t last = line.rfind(' ');
  if (last == std::string_view::npos) return std::nullopt;
  uint32_t crc = 0;
  if (!ParseNumber(line.substr(last + 1), &crc, 16)) return std::nullopt;
  const std::string_view fields = line.substr(0, last);
  if (crc != crc32c::Value(fields)) return std::nullopt;
  const size_t first = fields.find(' ');
  const size_t second = fields.find(' ', first == std::string_view::npos ? first : first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto time = ParseUtc(fields.substr(0, first));
  IndexRow row;
  if (!time.ok() || !ParseNumber(fields.substr(first + 1, second - first - 1), &row.index) ||
      !ParseNumber(fields.substr(second + 1), &row.revision)) {
    return std::nullopt;
  }
  row.unix_nanos = *time;
  return row;
}

StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(FileSystem* files,
                                                               const std::string& directory,
                                                               const SegmentHeader& header) {
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(files, directory));
  if (Status begun = writer->Begin(header); !begun.ok()) {
    writer->CutOff();
    return begun;
  }
  return writer;
}

Status SegmentWriter::Begin(const SegmentHeader& header) {
  const std::string stem = directory_ + "/" + SegmentStem(header.name);
  OpenOptions open;
  open.write = open.create = open.exclusive = true;
  open.mode = kFileMode;
  QUORATE_ASSIGN_OR_RETURN(log_, files_->Open(stem + std::string(kLogSuffix), open));
  QUORATE_ASSIGN_OR_RETURN(index_, files_->Open(stem + std::string(kIndexSuffix), open));
  std::string head(kMagic);
  AppendFrame(head, EncodeHeader(header));
  QUORATE_RETURN_IF_ERROR(log_->WriteAt(0, head));
  QUORATE_RETURN_IF_ERROR(log_->Sync());
  begin_bytes_ = log_bytes_ = head.size();
  return files_->SyncDirectory(directory_);
}

Status SegmentWriter::Append(const std::vector<raft::Entry>& entries, const std::optional<IndexRow>& row) {
  Status written = Write(entries, row);
  if (!written.ok()) CutOff();
  return written;
}

Status SegmentWriter::Write(const std::vector<raft::Entry>& entries, const std::optional<IndexRow>& row) {
  std::string frames;
  std::string payload;
  for (const raft::Entry& entry : entries) {
    payload.clear();
    wal::AppendEntry(payload, entry);
    AppendFrame(frames, payload);
  }
  if (!frames.empty()) {
    QUORATE_RETURN_IF_ERROR(log_->WriteAt(log_bytes_, frames));
    QUORATE_RETURN_IF_ERROR(log_->Sync());
    log_bytes_ += frames.size();
  }
  if (!row) return absl::OkStatus();
  const std::string line = EncodeRow(*row);
  QUORATE_RETURN_IF_ERROR(index_->WriteAt(index_bytes_, line));
  QUORATE_RETURN_IF_ERROR(index_->Sync());
  index_bytes_ += line.size();
  return absl::OkStatus();
}

// So that a full disk is not filled with what nobody can use. Where this fails, too, a torn end is passed
// over by whoever reads it, and an empty segment is removed by the member's next start.
void SegmentWriter::CutOff() {
  const bool empty = log_bytes_ == begin_bytes_;
  for (const auto& [file, bytes] : {std::pair(&log_, log_bytes_), std::pair(&index_, index_bytes_)}) {
    if (*file == nullptr) continue;
    const std::string path = (*file)->path();
    const Status done = empty ? files_->Remove(path) : (*file)->Truncate(bytes);
    if (!done.ok()) LOG_WARN("failed to cut off what could not be archived", {"error", Message(done)});
    *file = nullptr;
  }
}

StatusOr<Segment> ReadSegment(FileSystem* files, const std::string& directory, const SegmentName& name) {
  const std::string stem = directory + "/" + SegmentStem(name);
  const std::string path = stem + std::string(kLogSuffix);
  QUORATE_ASSIGN_OR_RETURN(const std::string bytes, files->ReadAll(path));
  const auto rows = files->ReadAll(stem + std::string(kIndexSuffix));
  if (!rows.ok() && !absl::IsNotFound(rows.status())) return rows.status();
  Segment segment;
  segment.header.name = name;
  std::string_view rest = bytes;
  std::string_view payload;
  std::optional<SegmentHeader> header;
  if (rest.starts_with(kMagic)) {
    rest.remove_prefix(kMagic.size());
    if (TakeFrame(&rest, &payload)) header = DecodeHeader(payload);
  }
  if (!header || header->name != name) {
    // A crash while it was made; then it has no row.
    if (!rows.ok() || rows->empty()) return segment;
    return DataLoss(path + " does not begin as an archived log of its name does: it was damaged or renamed");
  }
  segment.header = *header;
  const size_t end = ReadEntries(rest, bytes.size(), &segment);
  if (rows.ok()) ReadRows(*rows, &segment);
  if (segment.lost_until > 0) {
    segment.damage = path + " is damaged at offset " + std::to_string(end) + ": entries up to raft index " +
                     std::to_string(segment.lost_until) + " were in it";
  }
  return segment;
}

StatusOr<std::vector<SegmentName>> ListSegments(FileSystem* files, const std::string& directory,
                                                uint64_t cluster_id) {
  const auto names = files->List(directory);
  if (!names.ok()) {
    return MakeStatus(names.status().code(),
                      "backup directory " + directory + ": " + std::string(Message(names.status())));
  }
  std::vector<SegmentName> segments;
  for (const std::string& file_name : *names) {
    const auto segment = ParseSegmentName(file_name, kLogSuffix);
    if (segment && (cluster_id == 0 || segment->cluster_id == cluster_id)) segments.push_back(*segment);
  }
  std::sort(segments.begin(), segments.end(), [](const SegmentName& a, const SegmentName& b) {
    return std::tie(a.started_unix_nanos, a.first_index, a.member_id) <
           std::tie(b.started_unix_nanos, b.first_index, b.member_id);
  });
  return segments;
}

}  // namespace quorate::backup
