#include "cmd/quorateutl/session.h"

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/logging.h"
#include "cmd/cli/text_table.h"

namespace quorate::cmd {
namespace {

// As often as etcd looks.
constexpr auto kLockRetry = std::chrono::milliseconds(50);

int RefuseFormat(const std::string& write_out) {
  if (!ParseOutputFormat(write_out)) return Fail(ExitCode::kBadFeature, UnsupportedFormatText(write_out));
  return Fail(ExitCode::kBadFeature, write_out + " not supported as output format");
}

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

void Session::WaitForDb(const std::string& path, bool exclusive) {
  OpenOptions open;
  open.write = exclusive;
  open.lock = exclusive ? LockKind::kFlock : LockKind::kFlockShared;
  const int64_t start = clock.MonotonicNanos();
  for (bool told = false;; told = true) {
    if (files.Open(path, open).status().code() != absl::StatusCode::kFailedPrecondition) return;
    if (lock_timeout_nanos != 0 && clock.MonotonicNanos() - start >= lock_timeout_nanos) return;
    if (!told) LOG_WARN("waiting for another process to close the db file", {"path", path});
    std::this_thread::sleep_for(kLockRetry);
  }
}

offline::ReportFn Session::Report() {
  phase_.clear();
  return [this](std::string_view phase, uint64_t done, uint64_t total) {
    if (phase != phase_) {
      phase_ = phase;
      if (progress_) {
        progress_->Restart(phase_);
      } else {
        progress_.reset(new Progress(MakeProgress(phase_, Progress::Unit::kBytes, &clock)));
      }
    }
    progress_->Update(done, total);
  };
}

int PrintCells(const std::string& write_out, const std::vector<Cell>& cells) {
  const auto format = ParseOutputFormat(write_out);
  if (!format || *format == OutputFormat::kProtobuf) return RefuseFormat(write_out);
  std::vector<std::string> header;
  std::vector<std::string> row;
  std::string line;
  std::string fields;
  std::string json = "{";
  for (const Cell& cell : cells) {
    header.push_back(cell.table_name);
    row.push_back(cell.shown);
    line += (line.empty() ? "" : ", ") + cell.shown;
    fields += FieldLine(cell.field_name, std::string_view(cell.raw));
    json += (json.size() > 1 ? ",\"" : "\"") + cell.json_name + "\":";
    json += cell.json_string ? log::JsonString(cell.raw) : cell.raw;
  }
  switch (*format) {
    case OutputFormat::kTable:
      Print(TextTable(header, {row}, CellAlign::kRight));
      break;
    case OutputFormat::kFields:
      Print(fields);
      break;
    case OutputFormat::kJson:
      Print(json + "}\n");
      break;
    default:
      Print(line + "\n");
  }
  return 0;
}

std::optional<int> RefuseUnknownFormat(const std::string& write_out) {
  if (ParseOutputFormat(write_out)) return std::nullopt;
  return RefuseFormat(write_out);
}

std::optional<int> RefuseFormats(const std::string& write_out) {
  if (write_out == "simple") return std::nullopt;
  return RefuseFormat(write_out);
}

}  // namespace quorate::cmd
