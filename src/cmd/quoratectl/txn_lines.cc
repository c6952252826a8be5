#include "cmd/quoratectl/txn_lines.h"

#include <string>
#include <utility>
#include <vector>

#include "cmd/cli/go_syntax.h"
#include "cmd/quoratectl/hex_id.h"
#include "cmd/quoratectl/kv_requests.h"
#include "cmd/quoratectl/line_words.h"

namespace quorate::cmd {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RequestOp;

// The part behind the parenthesis: "key") OPERATOR "value".
struct Operands {
  std::string key;
  std::string op;
  std::string value;
  bool whole = false;
};

bool TakeSpaces(std::string_view* text) {
  const size_t before = text->size();
  while (!text->empty() && (text->front() == ' ' || text->front() == '\t')) text->remove_prefix(1);
  return text->size() < before;
}

Operands ReadOperands(std::string_view text) {
  Operands found;
  TakeSpaces(&text);
  auto key = TakeGoQuoted(&text);
  if (!key.ok()) return found;
  found.key = *std::move(key);
  if (!text.starts_with(')')) return found;
  text.remove_prefix(1);
  if (!TakeSpaces(&text)) return found;
  const size_t end = text.find_first_of(" \t");
  found.op = std::string(text.substr(0, end));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  if (!TakeSpaces(&text)) return found;
  auto value = TakeGoQuoted(&text);
  if (!value.ok()) return found;
  found.value = *std::move(value);
  found.whole = true;
  return found;
}

StatusOr<Compare::CompareResult> ResultOf(std::string_view op, std::string_view line) {
  if (op == "=") return Compare::EQUAL;
  if (op == "!=") return Compare::NOT_EQUAL;
  if (op == ">") return Compare::GREATER;
  if (op == "<") return Compare::LESS;
  return InvalidArgument("malformed comparison: " + std::string(line) + " (unknown operator " +
                         std::string(op) + ", it must be =, !=, > or <)");
}

Status SetTarget(std::string_view target, const std::string& value, std::string_view line, Compare* compare) {
  const auto number = [&](Compare::CompareTarget kind, void (Compare::*set)(int64_t)) -> Status {
    const auto parsed = ParseGoDecimal(value);
    if (!parsed.ok()) return InvalidArgument("invalid txn compare request: " + std::string(line));
    compare->set_target(kind);
    (compare->*set)(*parsed);
    return absl::OkStatus();
  };
  if (target == "ver" || target == "version") return number(Compare::VERSION, &Compare::set_version);
  if (target == "c" || target == "create") return number(Compare::CREATE, &Compare::set_create_revision);
  if (target == "m" || target == "mod") return number(Compare::MOD, &Compare::set_mod_revision);
  if (target == "val" || target == "value") {
    compare->set_target(Compare::VALUE);
    compare->set_value(value);
    return absl::OkStatus();
  }
  if (target == "lease") {
    // In hexadecimal, as leases are given and shown everywhere else.
    const auto lease = ParseLeaseId(value);
    if (!lease.ok()) return InvalidArgument("invalid txn compare request: " + std::string(line));
    compare->set_target(Compare::LEASE);
    compare->set_lease(*lease);
    return absl::OkStatus();
  }
  return InvalidArgument("malformed comparison: " + std::string(line) + " (unknown target " +
                         std::string(target) + ")");
}

// The three commands that may stand in a transaction.
struct RequestTree {
  CommandTree tree{"", ""};
  GetFlags get_flags;
  PutFlags put_flags;
  DelFlags del_flags;
  CLI::App* get;
  CLI::App* put;
  CLI::App* del;

  RequestTree() {
    // Never run: only parsed for.
    const auto parsed = [](const Arguments&) { return 0; };
    get = tree.Add(tree.root(), "get", "", "", parsed);
    put = tree.Add(tree.root(), "put", "", "", parsed);
    del = tree.Add(tree.root(), "del", "", "", parsed);
    AddGetFlags(get, &get_flags);
    AddPutFlags(put, &put_flags);
    AddDelFlags(del, &del_flags);
  }

  StatusOr<RequestOp> Request(const CommandTree::Outcome& outcome) const {
    RequestOp op;
    const std::vector<std::string>& values = outcome.arguments.values;
    if (outcome.command == get) {
      QUORATE_ASSIGN_OR_RETURN(*op.mutable_request_range(), GetRequest(get_flags, values));
    } else if (outcome.command == put) {
      QUORATE_ASSIGN_OR_RETURN(*op.mutable_request_put(), PutRequestOf(put_flags, values, ValueFrom::kLine));
    } else {
      QUORATE_ASSIGN_OR_RETURN(*op.mutable_request_delete_range(), DelRequest(del_flags, values));
    }
    return op;
  }
};

}  // namespace

StatusOr<Compare> ParseCompare(std::string_view line) {
  const std::string shown(line);
  const size_t paren = line.find('(');
  if (paren == std::string_view::npos) return InvalidArgument("malformed comparison: " + shown);
  const std::string_view target = line.substr(0, paren);
  const Operands operands = ReadOperands(line.substr(paren + 1));
  if (!operands.whole) {
    return InvalidArgument("malformed comparison: " + shown + "; got " + std::string(target) + "(" +
                           GoQuote(operands.key) + ") " + operands.op + " " + GoQuote(operands.value));
  }
  Compare compare;
  compare.set_key(operands.key);
  QUORATE_RETURN_IF_ERROR(SetTarget(target, operands.value, line, &compare));
  QUORATE_ASSIGN_OR_RETURN(const auto result, ResultOf(operands.op, line));
  compare.set_result(result);
  return compare;
}

StatusOr<RequestOp> ParseRequest(std::string_view line, ExitCode* code) {
  *code = ExitCode::kInvalidInput;
  QUORATE_ASSIGN_OR_RETURN(const std::vector<std::string> words, SplitWords(line));
  if (words.size() < 2) return InvalidArgument("invalid txn compare request: " + std::string(line));
  RequestTree requests;
  const CommandTree::Outcome outcome = requests.tree.Parse(words);
  if (outcome.command == nullptr) {
    return InvalidArgument("invalid txn request: " + std::string(line) +
                           (outcome.error.empty() ? "" : " (" + outcome.error + ")"));
  }
  auto request = requests.Request(outcome);
  if (!request.ok()) *code = ExitCodeOf(request.status());
  return request;
}

}  // namespace quorate::cmd
