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
      const auto unit = phase == offline::kReplaying ? Progress::Unit::kItems : Progress::Unit::kBytes;
      if (progress_ && unit == unit_) {
        progress_->Restart(phase_);
      } else {
        StopProgress();
        unit_ = unit;
        progress_.reset(new Progress(MakeProgress(phase_, unit, &clock)));
      }
    }
    progress_->Update(done, total);
  };
}

namespace {

// Of one result.
std::string SimpleLine(const std::vector<Cell>& cells) {
  std::string line;
  for (const Cell& cell : cells) line += (line.empty() ? "" : ", ") + cell.shown;
  return line + "\n";
}

std::string FieldLines(const std::vector<Cell>& cells) {
  std::string fields;
  for (const Cell& cell : cells) fields += FieldLine(cell.field_name, std::string_view(cell.raw));
  return fields;
}

std::string JsonObject(const std::vector<Cell>& cells) {
  std::string json = "{";
  for (const Cell& cell : cells) {
    json += (json.size() > 1 ? ",\"" : "\"") + cell.json_name + "\":";
    json += cell.json_string ? log::JsonString(cell.raw) : cell.raw;
  }
  return json + "}";
}

std::string Table(const std::vector<std::vector<Cell>>& rows) {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> texts;
  for (const std::vector<Cell>& cells : rows) {
    header.clear();
    texts.emplace_back();
    for (const Cell& cell : cells) {
      header.push_back(cell.table_name);
      texts.back().push_back(cell.shown);
    }
  }
  return TextTable(header, texts, CellAlign::kRight);
}

}  // namespace

int PrintCells(const std::string& write_out, const std::vector<Cell>& cells) {
  const auto format = ParseOutputFormat(write_out);
  if (!format || *format == OutputFormat::kProtobuf) return RefuseFormat(write_out);
  if (*format == OutputFormat::kJson) {
    Print(JsonObject(cells) + "\n");
    return 0;
  }
  return PrintRows(write_out, {cells});
}

int PrintRows(const std::string& write_out, const std::vector<std::vector<Cell>>& rows) {
  const auto format = ParseOutputFormat(write_out);
  if (!format || *format == OutputFormat::kProtobuf) return RefuseFormat(write_out);
  if (*format == OutputFormat::kTable) {
    if (!rows.empty()) Print(Table(rows));
    return 0;
  }
  const bool json = *format == OutputFormat::kJson;
  std::string text = json ? "[" : "";
  for (const std::vector<Cell>& cells : rows) {
    if (json) {
      text += (text.size() > 1 ? "," : "") + JsonObject(cells);
    } else {
      text += *format == OutputFormat::kFields ? FieldLines(cells) : SimpleLine(cells);
    }
  }
  Print(text + (json ? "]\n" : ""));
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
