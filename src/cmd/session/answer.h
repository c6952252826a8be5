// One answer of the server, printed in the formats of -w.
#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/cli/output_format.h"
#include "mvcc.pb.h"
#include "rpc.pb.h"

namespace quorate::cmd {

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

// What has no function is "not supported as output format" (exit code 4), as with etcd's client. Only the one
// for the format in question is called.
struct Answer {
  std::function<std::string()> simple = {};  // Whole lines.
  std::function<std::string()> fields = {};
  std::function<Table()> table = {};
  std::function<std::string()> json = {};  // Without the newline.
  // For json where it has no function of its own, and for protobuf. Must live as long as this.
  const google::protobuf::Message* message = nullptr;
};

// Returns the exit code.
int ShowAnswer(const Answer& answer, OutputFormat format, std::string_view format_name);

void Print(std::string_view text);

// "a, b\n" for each row: -w simple where -w table shows the same.
std::string CommaLines(const Table& table);

// -w fields: of an answer's header, and of a key, each of whose names begins with `prefix`.
std::string HeaderFields(const etcdserverpb::ResponseHeader& header, bool hex);
std::string KeyFields(const mvccpb::KeyValue& key, std::string_view prefix, bool hex);
std::string BoolField(std::string_view name, bool value);
// Members and clusters: decimal, or with --hex as everywhere else.
std::string IdField(std::string_view name, uint64_t id, bool hex);
// Leases: the same with 16 digits.
std::string LeaseField(std::string_view name, int64_t id, bool hex);

// -w simple: key and value, each on its line; with `hex` as "\x61\x62".
std::string KeyLines(const mvccpb::KeyValue& key, bool hex, bool value_only);
std::string HexBytes(std::string_view bytes);
// "8e9e05c52164694d".
std::string HexId(uint64_t id);
// With zeros in front up to 16 digits, or spaces.
std::string HexId16(uint64_t id);
std::string HexIdPadded(uint64_t id);

}  // namespace quorate::cmd
