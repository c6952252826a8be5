#include "cmd/session/answer.h"

#include <cinttypes>
#include <cstdio>

#include "cmd/cli/exit_code.h"
#include "cmd/cli/text_table.h"
#include "cmd/session/message_json.h"

namespace quorate::cmd {
namespace {

std::string Formatted(const char* format, uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

int NotSupported(std::string_view format_name) {
  return Fail(ExitCode::kBadFeature, std::string(format_name) + " not supported as output format");
}

}  // namespace

void Print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

int ShowAnswer(const Answer& answer, OutputFormat format, std::string_view format_name) {
  switch (format) {
    case OutputFormat::kSimple:
      if (!answer.simple) return NotSupported(format_name);
      Print(answer.simple());
      return 0;
    case OutputFormat::kFields:
      if (!answer.fields) return NotSupported(format_name);
      Print(answer.fields());
      return 0;
    case OutputFormat::kTable: {
      if (!answer.table) return NotSupported(format_name);
      const Table table = answer.table();
      Print(TextTable(table.header, table.rows, CellAlign::kRight));
      return 0;
    }
    case OutputFormat::kJson:
      if (!answer.json && answer.message == nullptr) return NotSupported(format_name);
      Print((answer.json ? answer.json() : MessageJson(*answer.message)) + "\n");
      return 0;
    case OutputFormat::kProtobuf:
      if (answer.message == nullptr) return NotSupported(format_name);
      Print(answer.message->SerializeAsString());
      return 0;
  }
  return NotSupported(format_name);
}

std::string CommaLines(const Table& table) {
  std::string text;
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) text += (i > 0 ? ", " : "") + row[i];
    text += "\n";
  }
  return text;
}

std::string BoolField(std::string_view name, bool value) {
  return FieldLine(name, std::string_view(value ? "true" : "false"));
}

std::string IdField(std::string_view name, uint64_t id, bool hex) {
  return hex ? FieldLine(name, HexId(id)) : FieldLine(name, id);
}

std::string LeaseField(std::string_view name, int64_t id, bool hex) {
  return hex ? FieldLine(name, HexId16(static_cast<uint64_t>(id))) : FieldLine(name, id);
}

std::string HeaderFields(const etcdserverpb::ResponseHeader& header, bool hex) {
  return IdField("ClusterID", header.cluster_id(), hex) + IdField("MemberID", header.member_id(), hex) +
         FieldLine("Revision", header.revision()) + FieldLine("RaftTerm", header.raft_term());
}

std::string KeyFields(const mvccpb::KeyValue& key, std::string_view prefix, bool hex) {
  const auto named = [&](const char* name) { return std::string(prefix) + name; };
  return FieldLine(named("Key"), key.key(), true) +
         FieldLine(named("CreateRevision"), key.create_revision()) +
         FieldLine(named("ModRevision"), key.mod_revision()) + FieldLine(named("Version"), key.version()) +
         FieldLine(named("Value"), key.value(), true) + LeaseField(named("Lease"), key.lease(), hex);
}

std::string HexBytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += "\\x" + Formatted("%02" PRIx64, static_cast<unsigned char>(c));
  return text;
}

std::string KeyLines(const mvccpb::KeyValue& key, bool hex, bool value_only) {
  const auto shown = [&](const std::string& bytes) { return (hex ? HexBytes(bytes) : bytes) + "\n"; };
  return (value_only ? "" : shown(key.key())) + shown(key.value());
}

std::string HexId(uint64_t id) { return Formatted("%" PRIx64, id); }
std::string HexId16(uint64_t id) { return Formatted("%016" PRIx64, id); }
std::string HexIdPadded(uint64_t id) { return Formatted("%16" PRIx64, id); }

}  // namespace quorate::cmd
