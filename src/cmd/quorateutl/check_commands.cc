// check member, check wal, check db, check v2store.
#include <cstdio>
#include <memory>
#include <utility>

#include "base/logging.h"
#include "cmd/quorateutl/session.h"
#include "offline/check_db.h"
#include "offline/check_log.h"
#include "offline/data_directory.h"
#include "offline/member_state.h"

namespace quorate::cmd {
namespace {

using offline::Finding;

// What one command found, and what it looked at.
class Verdict {
 public:
  explicit Verdict(Session* session) : session_(session) {}

  void Add(const offline::Findings& findings) {
    findings_.insert(findings_.end(), findings.begin(), findings.end());
  }
  void AddDamage(std::string text) { findings_.push_back({Finding::Kind::kDamage, std::move(text)}); }
  void Looked(const std::string& at) { looked_at_ += (looked_at_.empty() ? "" : "; ") + at; }
  bool sound() const {
    for (const Finding& finding : findings_) {
      if (finding.kind == Finding::Kind::kDamage) return false;
    }
    return true;
  }

  // Prints it; returns the exit code: 1 when something is damaged.
  int Print() {
    session_->StopProgress();
    if (session_->write_out == "json") {
      PrintJson();
    } else {
      for (const Finding& finding : findings_)
        std::printf("%s: %s\n", KindText(finding), finding.text.c_str());
      std::printf("checked %s\n", looked_at_.c_str());
    }
    if (sound()) return 0;
    return Fail(ExitCode::kError,
                "damage was found, see above; restore this member from a snapshot, or remove it from "
                "the cluster and add it anew");
  }

 private:
  static const char* KindText(const Finding& finding) {
    return finding.kind == Finding::Kind::kDamage ? "damage" : "note";
  }

  void PrintJson() const {
    std::string json = "{\"sound\":" + std::string(sound() ? "true" : "false") +
                       ",\"checked\":" + log::JsonString(looked_at_) + ",\"findings\":[";
    for (size_t i = 0; i < findings_.size(); ++i) {
      json += std::string(i > 0 ? "," : "") + "{\"kind\":\"" + KindText(findings_[i]) +
              "\",\"text\":" + log::JsonString(findings_[i].text) + "}";
    }
    std::printf("%s]}\n", json.c_str());
  }

  Session* const session_;
  offline::Findings findings_;
  std::string looked_at_;
};

Status CheckDb(Session* session, const std::string& path, Verdict* verdict) {
  session->WaitForDb(path, false);
  QUORATE_ASSIGN_OR_RETURN(const offline::DbCheck check,
                           offline::CheckDbFile(&session->files, path, session->Report()));
  verdict->Add(check.findings);
  verdict->Looked(path + ": " + std::to_string(check.pages_total) + " pages (" +
                  std::to_string(check.pages_free) + " free), " + std::to_string(check.rows) +
                  " rows, revision " + std::to_string(check.revision));
  return absl::OkStatus();
}

Status CheckLog(Session* session, const std::string& dir, Verdict* verdict) {
  QUORATE_ASSIGN_OR_RETURN(const offline::LogCheck check,
                           offline::CheckLog(&session->files, dir, session->Report()));
  verdict->Add(check.findings);
  verdict->Looked(dir + ": " + std::to_string(check.segments) + " segments, " +
                  std::to_string(check.records) + " records, " + std::to_string(check.entries) +
                  " entries up to index " + std::to_string(check.last_index));
  return absl::OkStatus();
}

Status CheckMember(Session* session, const offline::DataDirectory& at, Verdict* verdict) {
  QUORATE_RETURN_IF_ERROR(CheckLog(session, at.wal, verdict));
  QUORATE_ASSIGN_OR_RETURN(const offline::SnapCheck snaps, offline::CheckSnapFiles(&session->files, at.snap));
  verdict->Add(snaps.findings);
  verdict->Looked(at.snap + ": " + std::to_string(snaps.files) + " .snap files");
  QUORATE_RETURN_IF_ERROR(CheckDb(session, at.db, verdict));
  if (!verdict->sound()) return absl::OkStatus();
  // Only sound parts can be compared.
  QUORATE_ASSIGN_OR_RETURN(const offline::MemberState state, offline::ReadMemberState(&session->files, at));
  if (const Status fits = offline::VerifyMember(state, false); !fits.ok()) {
    verdict->AddDamage(at.root + ": " + std::string(Message(fits)));
  } else if (const auto note = offline::TrailingCommit(state)) {
    verdict->Add({{offline::Finding::Kind::kNote, at.root + ": " + *note}});
  }
  return absl::OkStatus();
}

// A command of one argument.
CommandHandler OneArgument(Session* session, Status (*check)(Session*, const std::string&, Verdict*)) {
  return [session, check](const Arguments& arguments) {
    if (session->write_out != "json") {
      if (const auto refused = RefuseFormats(session->write_out)) return *refused;
    }
    if (arguments.values.size() != 1) {
      return Fail(ExitCode::kError, "accepts 1 arg(s), received " + std::to_string(arguments.values.size()));
    }
    Verdict verdict(session);
    const Status status = check(session, arguments.values[0], &verdict);
    return status.ok() ? verdict.Print() : Fail(status);
  };
}

}  // namespace

void AddCheckCommands(CommandTree* tree, Session* session) {
  struct Flags {
    std::string data_dir;
    std::string wal_dir;
  };
  const auto flags = std::make_shared<Flags>();
  const auto add_places = [&flags](CLI::App* command) {
    command->add_option("--data-dir", flags->data_dir, "Required. A data directory not in use by etcd.")
        ->required();
    command->add_option("--wal-dir", flags->wal_dir, "Optional. A dedicated WAL directory.");
  };
  CLI::App* check = tree->Add(tree->root(), "check", "Looks for damage: every page, every record", "", {});
  tree->Add(check, "db", "Checks a db file or a snapshot file", "<filename>", OneArgument(session, CheckDb));
  tree->Add(check, "wal", "Checks a write-ahead log", "<directory>", OneArgument(session, CheckLog));
  CLI::App* member = tree->Add(
      check, "member", "Checks log, snapshots and database of a stopped member", "", [=](const Arguments&) {
        if (session->write_out != "json") {
          if (const auto refused = RefuseFormats(session->write_out)) return *refused;
        }
        Verdict verdict(session);
        const Status status =
            CheckMember(session, offline::LocateData(flags->data_dir, flags->wal_dir), &verdict);
        return status.ok() ? verdict.Print() : Fail(status);
      });
  add_places(member);
  CLI::App* v2store =
      tree->Add(check, "v2store", "Check custom content in v2store", "", [=](const Arguments&) {
        const Status status =
            offline::CheckV2Store(&session->files, offline::LocateData(flags->data_dir, flags->wal_dir));
        if (!status.ok()) return Fail(status);
        std::puts("No custom content found in both v2store and WAL records.");
        return 0;
      });
  add_places(v2store);
}

}  // namespace quorate::cmd
