using System.CommandLine;
using Quorumail.Cluster.Journal;
using Quorumail.Server.Limits;
using Quorumail.Server.Limits.Format;
using Quorumail.Server.Queue.Format;

namespace Quorumail.Server.CommandLine;

/// <summary><c>smtp-server log dump</c>: the replicated log on this machine's disk, for people.</summary>
internal static class LogCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create(CommonOptions common)
    {
        var from = new Option<long>("--from") { Description = "leave out entries before this index" };
        var dump = new Command("dump", "Print the log in the data directory, an entry a line and its commands below. Reads only; the server may be running.") { from };
        dump.SetAction(parsed => Dump(common.Load(parsed), parsed.GetValue(from)));
        return new Command("log", "The replicated log on this machine.") { dump };
    }

    private static int Dump(Configuration.LoadedConfig loaded, long from)
    {
        if (!CommonOptions.Report(loaded, Console.Error))
        {
            return ExitCode.BadConfiguration;
        }

        var directory = Path.Combine(loaded.Options.Storage.Path, "log");
        if (!Directory.Exists(Path.Combine(directory, "journal")))
        {
            Console.Error.WriteLine($"smtp-server: there is no log in {Path.GetFullPath(directory)}: check [storage] path");
            return ExitCode.CannotStart;
        }

        try
        {
            foreach (var line in JournalDump.Render(directory, from, Describe))
            {
                Console.Out.Write(line);
            }

            return ExitCode.Success;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or JournalException)
        {
            Console.Error.WriteLine($"smtp-server: {failure.Message}");
            return ExitCode.CannotStart;
        }
    }

    private static string Describe(ReadOnlyMemory<byte> command)
    {
        try
        {
            object? known = ReplicatedLimits.IsCommand(command.Span)
                ? LimitEncoding.DecodeCommand(command.Span[1..])
                : QueueEncoding.DecodeCommand(command.Span);
            return known?.ToString() ?? "of a later version";
        }
        catch (Exception later) when (later is NewerFormatException or InvalidDataException)
        {
            return "of a later version";
        }
    }
}
