// txn.
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/kv_text.h"
#include "cmd/quoratectl/line_words.h"
#include "cmd/quoratectl/txn_lines.h"

namespace quorate::cmd {
namespace {

// Hands each line up to the next empty one to `take`. Returns the exit code of what is wrong, or 0.
int ReadSection(const std::function<int(std::string_view)>& take) {
  std::string line;
  while (std::getline(std::cin, line)) {
    // The last line without its end counts as cut off.
    if (std::cin.eof()) break;
    const std::string_view text = Trim(line);
    if (text.empty()) return 0;
    if (const int code = take(text); code != 0) return code;
  }
  return Fail(ExitCode::kInvalidInput, "EOF");
}

int ReadCompares(etcdserverpb::TxnRequest* txn) {
  return ReadSection([txn](std::string_view line) {
    auto compare = ParseCompare(line);
    if (!compare.ok()) return Fail(ExitCode::kInvalidInput, Message(compare.status()));
    *txn->add_compare() = *std::move(compare);
    return 0;
  });
}

int ReadRequests(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* requests) {
  return ReadSection([requests](std::string_view line) {
    ExitCode code = ExitCode::kOk;
    auto request = ParseRequest(line, &code);
    if (!request.ok()) return Fail(code, Message(request.status()));
    *requests->Add() = *std::move(request);
    return 0;
  });
}

int RunTxn(CtlSession* session, bool interactive, const Arguments& arguments) {
  if (!arguments.values.empty()) {
    return Fail(ExitCode::kBadArguments, "txn command does not accept argument");
  }
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto prompt = [interactive](const char* text) {
    if (interactive) std::cout << text << std::endl;
  };
  etcdserverpb::TxnRequest txn;
  prompt("compares:");
  if (const int code = ReadCompares(&txn); code != 0) return code;
  prompt("success requests (get, put, del):");
  if (const int code = ReadRequests(txn.mutable_success()); code != 0) return code;
  prompt("failure requests (get, put, del):");
  if (const int code = ReadRequests(txn.mutable_failure()); code != 0) return code;
  const auto response = client->kv().Commit(txn, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return TxnLines(*response, session->hex()); },
                        .fields = [&] { return TxnFields(*response, session->hex()); },
                        .message = &*response});
}

}  // namespace

void AddTxnCommand(CommandTree* tree, CtlSession* session) {
  const auto interactive = std::make_shared<bool>(false);
  CLI::App* command =
      tree->Add(tree->root(), "txn", "Txn processes all the requests in one transaction", "[options]",
                [=](const Arguments& arguments) { return RunTxn(session, *interactive, arguments); });
  command->add_flag("-i,--interactive", *interactive, "Input transaction in interactive mode");
  command->footer(
      "DESCRIPTION:\n\tReads from the standard input, with an empty line after each part: comparisons such "
      "as\n"
      "\tmod(\"key\") > \"0\" (version, create, mod, value, lease; =, !=, >, <), the requests for the case "
      "that\n"
      "\tall hold, and those for all others. Requests are get, put and del with their flags.");
}

}  // namespace quorate::cmd
