#include <cstdio>
#include <functional>
#include <map>

#include "cmd/cli/near_names.h"
#include "cmd/v2ctl/commands.h"
#include "cmd/v2ctl/help.h"
#include "cmd/v2ctl/v2ctl.h"

namespace quorate::cmd::v2 {
namespace {

using Words = std::vector<std::string>;

Words Tail(const Words& words) { return {words.begin() + 1, words.end()}; }

int PrintOut(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return 0;
}

// `between` is how the help is introduced: urfave/cli has two ways.
int BadUsage(std::string_view between, const Status& error, const std::string& help) {
  const std::string text(Message(error));
  PrintOut("Incorrect Usage" + std::string(between) + " " + text + "\n\n" + help);
  return Complain(V2ExitCode::kBadArguments, text);
}

int NoSuchCommand(const std::string& name, const Words& names) {
  return Complain(V2ExitCode::kNoSuchCommand,
                  "No help topic for '" + name + "'" + DidYouMean(NearNames(name, names)));
}

int RefuseStoreCommand(const std::string& name) {
  return FailWith(
      V2ExitCode::kServerError,
      {"'" + name +
           "' works on the keys, users or files of the v2 API, which are not served: use the v3 API's "
           "commands (ETCDCTL_API=3), and etcd 3.4's 'etcdctl migrate' for keys that still lie there",
       "", false, false});
}

// Reads the flags of a command with no other than --help, and hands its arguments on.
int RunCommand(const std::string& path, const Words& words, bool* forever,
               const std::function<int(const Words&)>& command) {
  bool help = false;
  GoFlags flags;
  flags.Add({"help", "h"}, &help);
  if (forever != nullptr) flags.Add({"forever", "f"}, forever);
  const auto arguments = flags.Parse(FlagsFirst(words));
  if (!arguments.ok()) return BadUsage(":", arguments.status(), CommandHelp(path));
  if (help) return PrintOut(CommandHelp(path));
  return command(*arguments);
}

int RunMemberGroup(const Settings& settings, const Words& words) {
  static const std::map<std::string, int (*)(const Settings&, const Words&)> kCommands = {
      {"list", &MemberList}, {"add", &MemberAdd}, {"remove", &MemberRemove}, {"update", &MemberUpdate}};
  bool help = false;
  GoFlags flags;
  flags.Add({"help", "h"}, &help);
  const auto rest = flags.Parse(words);
  if (!rest.ok()) return BadUsage(".", rest.status(), MemberGroupHelp());
  if (help || rest->empty()) return PrintOut(MemberGroupHelp());
  const std::string& name = rest->front();
  const auto command = kCommands.find(name);
  if (command != kCommands.end()) {
    return RunCommand("member " + name, Tail(*rest), nullptr,
                      [&](const Words& arguments) { return command->second(settings, arguments); });
  }
  if (name != "help" && name != "h") return NoSuchCommand(name, MemberCommandNames());
  if (rest->size() == 1) return PrintOut(MemberGroupHelp());
  const std::string text = CommandHelp("member " + (*rest)[1]);
  return text.empty() ? NoSuchCommand((*rest)[1], MemberCommandNames()) : PrintOut(text);
}

int Help(const Words& about) {
  if (about.empty()) return PrintOut(ProgramHelp());
  if (about[0] == "member") return PrintOut(MemberGroupHelp());
  if (IsCommandOfTheV2Store(about[0])) return RefuseStoreCommand(about[0]);
  const std::string text = CommandHelp(about[0]);
  return text.empty() ? NoSuchCommand(about[0], CommandNames()) : PrintOut(text);
}

}  // namespace

int RunV2(const std::vector<std::string>& args, const Environment& environment) {
  Settings settings;
  const auto rest = settings.Flags().Parse(args);
  if (!rest.ok()) return BadUsage(".", rest.status(), ProgramHelp());
  settings.TakeEnvironment(environment);
  if (settings.version) return PrintOut(VersionText());
  if (settings.help || rest->empty()) return Help({});
  const std::string& name = rest->front();
  if (name == "help" || name == "h") return Help(Tail(*rest));
  if (name == "member") return RunMemberGroup(settings, Tail(*rest));
  if (name == "cluster-health") {
    bool forever = false;
    return RunCommand(name, Tail(*rest), &forever,
                      [&](const Words&) { return ClusterHealth(settings, forever); });
  }
  if (IsCommandOfTheV2Store(name)) return RefuseStoreCommand(name);
  return NoSuchCommand(name, CommandNames());
}

}  // namespace quorate::cmd::v2
