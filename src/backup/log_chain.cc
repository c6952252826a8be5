#include "backup/log_chain.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace quorate::backup {
namespace {

// A segment that began longer before the backup than it may last, and its last write besides, holds nothing
// that the backup does not.
constexpr int64_t kSegmentNanosMax = int64_t{2} * 3'600 * 1'000'000'000;

}  // namespace

StatusOr<LogChain> LogChain::Begin(FileSystem* files, const std::string& directory, const BackupNote& base,
                                   int64_t until_unix_nanos) {
  LogChain chain(files, directory, {base.raft_index, base.raft_term, base.entry_crc});
  QUORATE_ASSIGN_OR_RETURN(chain.names_, ListSegments(files, directory, base.name.cluster_id));
  std::erase_if(chain.names_, [&](const SegmentName& name) {
    return name.started_unix_nanos > until_unix_nanos ||
           name.started_unix_nanos < base.name.taken_unix_nanos - kSegmentNanosMax;
  });
  std::sort(chain.names_.begin(), chain.names_.end(), [](const SegmentName& a, const SegmentName& b) {
    return std::tie(a.first_index, a.started_unix_nanos) < std::tie(b.first_index, b.started_unix_nanos);
  });
  return chain;
}

bool LogChain::GoesOn(const Segment& segment) const {
  const uint64_t first = segment.header.name.first_index;
  if (first == at_.index + 1) return segment.header.before && segment.header.before->Matches(at_);
  return at_.Matches(MarkOf(segment.entries[at_.index - first]));
}

StatusOr<std::optional<ChainPiece>> LogChain::Next() {
  for (size_t i = names_.size(); i-- > 0;) {
    const SegmentName name = names_[i];
    if (name.first_index > at_.index + 1) continue;
    auto read = ReadSegment(files_, directory_, name);
    if (absl::IsNotFound(read.status())) {  // Removed meanwhile: too old for somebody.
      names_.erase(names_.begin() + static_cast<ptrdiff_t>(i));
      continue;
    }
    if (absl::IsDataLoss(read.status())) damage_.push_back({UINT64_MAX, std::string(Message(read.status()))});
    if (!read.ok() && !absl::IsDataLoss(read.status())) return read.status();
    if (read.ok() && read->lost_until > 0) damage_.push_back({read->lost_until, read->damage});
    const bool reaches = read.ok() && !read->entries.empty() && read->entries.back().index > at_.index;
    if (!reaches || !GoesOn(*read)) {
      // One that begins right here and does not know what came before may still go on from a later entry.
      const bool later = reaches && name.first_index == at_.index + 1 && !read->header.before;
      if (!later) names_.erase(names_.begin() + static_cast<ptrdiff_t>(i));
      continue;
    }
    names_.erase(names_.begin() + static_cast<ptrdiff_t>(i));
    ChainPiece piece;
    piece.path = directory_ + "/" + SegmentStem(name) + std::string(kLogSuffix);
    std::copy_if(read->entries.begin(), read->entries.end(), std::back_inserter(piece.entries),
                 [this](const raft::Entry& entry) { return entry.index > at_.index; });
    std::copy_if(read->rows.begin(), read->rows.end(), std::back_inserter(piece.rows),
                 [this](const IndexRow& row) { return row.index >= at_.index; });
    at_ = MarkOf(piece.entries.back());
    return piece;
  }
  return std::nullopt;
}

std::string LogChain::WhatIsMissing() const {
  std::string text;
  const auto beyond = std::find_if(names_.begin(), names_.end(),
                                   [this](const SegmentName& name) { return name.first_index > at_.index; });
  if (beyond != names_.end()) {
    const uint64_t first = at_.index + 1;
    const uint64_t last = beyond->first_index - 1;
    text = first > last ? "that " + SegmentStem(*beyond) + " goes on from raft index " +
                              std::to_string(at_.index) + " can't be shown"
                        : "the entries of raft index " + std::to_string(first) + " to " +
                              std::to_string(last) + " are missing, before " + SegmentStem(*beyond);
  }
  for (const Damage& damage : damage_) {
    if (damage.lost_until > at_.index) text += (text.empty() ? "" : "; ") + damage.text;
  }
  return text;
}

}  // namespace quorate::backup
