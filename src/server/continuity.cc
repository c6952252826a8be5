#include "server/continuity.h"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <vector>

#include "base/crc32c.h"
#include "base/logging.h"
#include "cluster/member.h"
#include "server/own_directory.h"

namespace quorate::server {
namespace {

constexpr std::string_view kEpochMagic = "quorate-epoch";
constexpr std::string_view kRunMagic = "quorate-run";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kRunning = "running";
constexpr size_t kLineBytesMax = 1024;
// Of the file in the run directory; within one page, so that a write of it is never seen in part.
constexpr size_t kRunBytes = 1024;
constexpr uint32_t kFileMode = 0600;
constexpr uint32_t kDirectoryMode = 0700;

std::string Hex(uint64_t value) { return cluster::IdText(value); }

std::string Sealed(std::string line) {
  const uint32_t crc = crc32c::Value(line);
  return line + " crc=" + Hex(crc) + "\n";
}

// The words of a line whose checksum holds and which begins with `magic` and the version.
StatusOr<std::vector<std::string>> Words(std::string_view line, std::string_view magic, size_t count) {
  const Status damaged = DataLoss("no " + std::string(magic) + " record");
  const size_t seal = line.rfind(" crc=");
  if (line.size() > kLineBytesMax || !line.ends_with('\n') || seal == std::string_view::npos) return damaged;
  const std::string_view text = line.substr(0, seal);
  if (Sealed(std::string(text)) != line) return damaged;
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (words.size() != count + 2 || words[0] != magic || words[1] != kVersion) return damaged;
  words.erase(words.begin(), words.begin() + 2);
  return words;
}

StatusOr<uint64_t> ParseNumber(const std::string& word) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return DataLoss("no number: " + word);
  return value;
}

StatusOr<Epoch> ParseEpoch(const std::vector<std::string>& words) {
  Epoch epoch;
  QUORATE_ASSIGN_OR_RETURN(epoch.lineage, cluster::ParseId(words[0]));
  QUORATE_ASSIGN_OR_RETURN(epoch.sequence, ParseNumber(words[1]));
  QUORATE_ASSIGN_OR_RETURN(epoch.nonce, cluster::ParseId(words[2]));
  return epoch;
}

std::string EpochWords(const Epoch& epoch) {
  return Hex(epoch.lineage) + " " + std::to_string(epoch.sequence) + " " + Hex(epoch.nonce);
}

// The file as `decode` reads it; nullopt, with a warning where there is something to warn of.
template <typename Record>
std::optional<Record> ReadRecord(FileSystem* files, const std::string& path,
                                 StatusOr<Record> (*decode)(std::string_view)) {
  const auto text = files->ReadAll(path);
  if (absl::IsNotFound(text.status())) return std::nullopt;
  StatusOr<Record> record = text.ok() ? decode(*text) : text.status();
  if (record.ok()) return *std::move(record);
  LOG_WARN("ignored an unreadable file", {"path", path}, {"error", Message(record.status())});
  return std::nullopt;
}

}  // namespace

std::string EncodeEpoch(const Epoch& epoch) {
  return Sealed(std::string(kEpochMagic) + " " + std::string(kVersion) + " " + EpochWords(epoch));
}

StatusOr<Epoch> DecodeEpoch(std::string_view line) {
  QUORATE_ASSIGN_OR_RETURN(const auto words, Words(line, kEpochMagic, 3));
  return ParseEpoch(words);
}

std::string EncodeRunRecord(const RunRecord& record) {
  std::string line = Sealed(std::string(kRunMagic) + " " + std::string(kVersion) + " " +
                            EpochWords(record.epoch) + " " + record.boot_id + " " +
                            (record.end_index ? std::to_string(*record.end_index) : std::string(kRunning)) +
                            " " + std::to_string(record.position.term) + " " + Hex(record.position.vote) +
                            " " + std::to_string(record.position.index));
  line.resize(std::max(line.size(), kRunBytes), '\n');
  return line;
}

StatusOr<RunRecord> DecodeRunRecord(std::string_view line) {
  if (line.size() < kRunBytes) return DataLoss("a " + std::string(kRunMagic) + " record that is cut off");
  while (line.ends_with("\n\n")) line.remove_suffix(1);
  QUORATE_ASSIGN_OR_RETURN(const auto words, Words(line, kRunMagic, 8));
  RunRecord record;
  QUORATE_ASSIGN_OR_RETURN(record.epoch, ParseEpoch(words));
  record.boot_id = words[3];
  if (words[4] != kRunning) {
    QUORATE_ASSIGN_OR_RETURN(record.end_index, ParseNumber(words[4]));
  }
  QUORATE_ASSIGN_OR_RETURN(record.position.term, ParseNumber(words[5]));
  QUORATE_ASSIGN_OR_RETURN(record.position.vote, cluster::ParseId(words[6]));
  QUORATE_ASSIGN_OR_RETURN(record.position.index, ParseNumber(words[7]));
  return record;
}

std::string RunRecordName(uint64_t member_id, const std::string& own_dir) {
  return Hex(member_id) + "-" + Hex(crc32c::Value(own_dir + "/epoch")) + ".epoch";
}

StartFinding Judge(const std::optional<Epoch>& stored, const std::optional<RunRecord>& run,
                   std::string_view boot_id, const LogPosition& disk) {
  if (!stored) return {Finding::kUnknown, "the data directory holds no epoch"};
  if (!run) return {Finding::kUnknown, "nothing is known of the last process of this member"};
  if (boot_id.empty() || run->boot_id != boot_id) {
    return {Finding::kUnknown, "the machine was booted since the member ran last"};
  }
  if (run->epoch.lineage != stored->lineage) {
    return {Finding::kUnknown, "another data directory was in this place before"};
  }
  if (run->epoch.sequence > stored->sequence) {
    return {Finding::kWentBack, "its data directory is of epoch " + std::to_string(stored->sequence) +
                                    ", and the member had already come to epoch " +
                                    std::to_string(run->epoch.sequence) + " since this machine was booted"};
  }
  if (run->epoch != *stored) return {Finding::kUnknown, "the last start was cut short"};
  if (auto proof = ContradictedByMemory(disk, run->position, "the last process of this member")) {
    return {Finding::kWentBack, *std::move(proof)};
  }
  const bool moved = disk.term != run->position.term || disk.vote != run->position.vote;
  if (run->end_index && (moved || *run->end_index != disk.index)) {
    return {Finding::kUnknown, "another program has written into the data directory since"};
  }
  return {Finding::kContinuous, "the data directory is as the last process left it"};
}

Continuity::Continuity(FileSystem* files, Random* random, std::string own_dir, std::string run_dir,
                       std::string boot_id)
    : files_(files),
      random_(random),
      path_(own_dir + "/epoch"),
      own_dir_(std::move(own_dir)),
      run_dir_(std::move(run_dir)),
      boot_id_(std::move(boot_id)) {}

StartFinding Continuity::Examine(uint64_t member_id, const LogPosition& disk) {
  epoch_ = ReadRecord<Epoch>(files_, path_, DecodeEpoch);
  std::optional<RunRecord> run;
  const bool usable = !run_dir_.empty() && !boot_id_.empty() && boot_id_.find(' ') == std::string::npos &&
                      boot_id_.size() < kLineBytesMax / 4;
  if (usable) {
    run_path_ = run_dir_ + "/" + RunRecordName(member_id, own_dir_);
    run = ReadRecord<RunRecord>(files_, run_path_, DecodeRunRecord);
  }
  return Judge(epoch_, run, boot_id_, disk);
}

Continuity::Numbers Continuity::Draw() {
  const uint64_t lineage = random_->Next();
  return {lineage, random_->Next()};
}

Status Continuity::Begin(const LogPosition& position, const Numbers& numbers) {
  return Advance(position, std::nullopt, numbers);
}

Status Continuity::End(const LogPosition& position, raft::Index end_index) {
  return Advance(position, end_index, Draw());
}

Status Continuity::Advance(const LogPosition& position, std::optional<raft::Index> end_index,
                           const Numbers& numbers) {
  Epoch next = epoch_.value_or(Epoch{numbers.lineage, 0, 0});
  ++next.sequence;
  next.nonce = numbers.nonce;
  QUORATE_RETURN_IF_ERROR(MakeOwnDirectory(files_, own_dir_));
  QUORATE_RETURN_IF_ERROR(files_->WriteAtomically(path_, EncodeEpoch(next), kFileMode));
  epoch_ = next;
  WriteRun(position, end_index);
  return absl::OkStatus();
}

void Continuity::SaveWitness(const LogPosition& position) {
  if (run_file_ == nullptr) return;
  SayThatRunFailed(run_file_->WriteAt(0, EncodeRunRecord({*epoch_, boot_id_, position, std::nullopt})));
}

void Continuity::WriteRun(const LogPosition& position, std::optional<raft::Index> end_index) {
  run_file_.reset();
  if (run_path_.empty() || !epoch_) return;
  Status written = files_->CreateDirectories(run_dir_, kDirectoryMode);
  if (written.ok()) {
    written = files_->WriteAtomically(run_path_, EncodeRunRecord({*epoch_, boot_id_, position, end_index}),
                                      kFileMode);
  }
  if (written.ok()) {
    auto opened = files_->Open(run_path_, {.write = true});
    written = opened.status();
    if (opened.ok()) run_file_ = *std::move(opened);
  }
  SayThatRunFailed(written);
}

void Continuity::SayThatRunFailed(const Status& status) {
  if (!status.ok() && !run_failed_) {
    LOG_WARN("the next start will not be continuous: can't write to the run directory", {"path", run_path_},
             {"error", Message(status)});
  }
  run_failed_ = !status.ok();
}

Status Continuity::Remove() {
  epoch_.reset();
  if (!files_->Exists(path_)) return absl::OkStatus();
  QUORATE_RETURN_IF_ERROR(files_->Remove(path_));
  return files_->SyncDirectory(own_dir_);
}

}  // namespace quorate::server
