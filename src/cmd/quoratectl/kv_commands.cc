// get, put, del.
#include <memory>
#include <optional>
#include <utility>

#include "cmd/quoratectl/commands.h"
#include "cmd/quoratectl/kv_requests.h"
#include "cmd/quoratectl/kv_text.h"

namespace quorate::cmd {
namespace {

client::GetOptions OptionsOf(const etcdserverpb::RangeRequest& request) {
  return {.limit = request.limit(),
          .revision = request.revision(),
          .sort_order = request.sort_order(),
          .sort_target = request.sort_target(),
          .serializable = request.serializable(),
          .keys_only = request.keys_only(),
          .count_only = request.count_only(),
          .min_mod_revision = request.min_mod_revision(),
          .max_mod_revision = request.max_mod_revision(),
          .min_create_revision = request.min_create_revision(),
          .max_create_revision = request.max_create_revision()};
}

StatusOr<client::RangeResponse> Fetch(client::Client* client, const etcdserverpb::RangeRequest& request,
                                      bool stream, const client::CallOptions& call) {
  if (!stream) return client->kv().Get(request, call);
  const auto parts = client->kv().GetStream({request.key(), request.range_end()}, OptionsOf(request), call);
  client::RangeResponse whole;
  client::RangeStreamResponse part;
  while (true) {
    QUORATE_ASSIGN_OR_RETURN(const bool more, parts->Next(&part));
    if (!more) return whole;
    whole.MergeFrom(part.range_response());
  }
}

// What the flags of `get` and the format forbid together.
std::optional<int> RefuseFlags(const CtlSession& session, const GetFlags& flags) {
  if (flags.count_only && session.format() != OutputFormat::kFields) {
    return Fail(ExitCode::kBadArguments, "--count-only is only for `--write-out=fields`");
  }
  if (flags.print_value_only && session.format() != OutputFormat::kSimple) {
    return Fail(ExitCode::kBadArguments, "print-value-only is only for `--write-out=simple`");
  }
  return std::nullopt;
}

int Get(CtlSession* session, const GetFlags& flags, const RangeView& view, const Arguments& arguments) {
  const auto request = GetRequest(flags, arguments.values);
  if (!request.ok()) return Fail(ExitCodeOf(request.status()), Message(request.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  if (view.wanted()) {
    if (const auto refused = RefuseFlags(*session, flags)) return *refused;
    RangePages pages(*request, [&](const etcdserverpb::RangeRequest& page) {
      return client->kv().Get(page, session->Call());
    });
    return view.show(&pages);
  }
  // etcd's client looks at these two after the answer: an error of the server goes before.
  const auto response = Fetch(client, *request, flags.stream, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  if (const auto refused = RefuseFlags(*session, flags)) return *refused;
  return session->Show({.simple = [&] { return GetLines(*response, session->hex(), flags.print_value_only); },
                        .fields = [&] { return GetFields(*response, session->hex()); },
                        .message = &*response});
}

int Put(CtlSession* session, const PutFlags& flags, const Arguments& arguments) {
  const auto request = PutRequestOf(flags, arguments.values, ValueFrom::kLineOrStdin);
  if (!request.ok()) return Fail(ExitCodeOf(request.status()), Message(request.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->kv().Put(*request, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return PutLines(*response, session->hex()); },
                        .fields = [&] { return PutFields(*response, session->hex()); },
                        .message = &*response});
}

int Del(CtlSession* session, const DelFlags& flags, const Arguments& arguments) {
  const auto request = DelRequest(flags, arguments.values);
  if (!request.ok()) return Fail(ExitCodeOf(request.status()), Message(request.status()));
  client::Client* const client = session->Connect();
  if (client == nullptr) return session->exit_code();
  const auto response = client->kv().Delete(*request, session->Call());
  if (!response.ok()) return session->Fail(response.status());
  return session->Show({.simple = [&] { return DelLines(*response, session->hex()); },
                        .fields = [&] { return DelFields(*response, session->hex()); },
                        .message = &*response});
}

}  // namespace

CLI::App* AddGetCommand(CommandTree* tree, CtlSession* session, RangeView view) {
  const auto flags = std::make_shared<GetFlags>();
  CLI::App* command =
      tree->Add(tree->root(), "get", "Gets the key or a range of keys", "[options] <key> [range_end]",
                [session, flags, view = std::move(view)](const Arguments& arguments) {
                  return Get(session, *flags, view, arguments);
                });
  AddGetFlags(command, flags.get());
  return command;
}

void AddPutCommand(CommandTree* tree, CtlSession* session) {
  const auto flags = std::make_shared<PutFlags>();
  CLI::App* command =
      tree->Add(tree->root(), "put", "Puts the given key into the store",
                "[options] <key> <value> (<value> can also be given from stdin)",
                [session, flags](const Arguments& arguments) { return Put(session, *flags, arguments); });
  AddPutFlags(command, flags.get());
  command->footer(
      "DESCRIPTION:\n\tPuts the given key into the store.\n\n"
      "\tWhen <value> begins with '-', <value> is interpreted as a flag.\n"
      "\tInsert '--' for workaround:\n\n"
      "\t$ put <key> -- <value>\n\t$ put -- <key> <value>\n\n"
      "\tIf <value> isn't given as a command line argument and '--ignore-value' is not specified,\n"
      "\tthis command tries to read the value from standard input.\n\n"
      "\tFor example,\n\t$ cat file | put <key>\n\twill store the content of the file to <key>.");
}

void AddDelCommand(CommandTree* tree, CtlSession* session) {
  const auto flags = std::make_shared<DelFlags>();
  CLI::App* command =
      tree->Add(tree->root(), "del", "Removes the specified key or range of keys [key, range_end)",
                "[options] <key> [range_end]",
                [session, flags](const Arguments& arguments) { return Del(session, *flags, arguments); });
  AddDelFlags(command, flags.get());
}

}  // namespace quorate::cmd
