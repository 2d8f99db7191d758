using System.Globalization;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Journal;

/// <summary>Shows a journal to people. Reads its files only and changes nothing, damaged or not; the node may be running.</summary>
public static class JournalDump
{
    /// <summary>Renders mark, segments and entries, in order.</summary>
    /// <param name="directory">Of a <c>ClusterNode</c>.</param>
    /// <param name="firstIndex">Entries before it are left out.</param>
    /// <param name="describe">Renders a command of the application.</param>
    public static IEnumerable<string> Render(
        string directory, long firstIndex = 0, Func<ReadOnlyMemory<byte>, string>? describe = null)
    {
        string journal = Path.Combine(directory, "journal");
        JournalMark mark = JournalMark.Read(Path.Combine(journal, "mark")) ?? default;
        yield return string.Create(
            CultureInfo.InvariantCulture,
            $"forgotten up to {mark.Index} term={mark.Term}, the state durable up to {mark.StateIndex}\n");
        foreach (string path in Directory.GetFiles(journal, "*.log").Order(StringComparer.Ordinal))
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            byte[] bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            yield return $"{Path.GetFileName(path)}\n";
            int offset = JournalSegment.HeaderSize;
            long seed = JournalSegment.ReadSeed(bytes);
            for (; JournalRecord.TryRead(bytes.AsSpan(offset), seed, out JournalRecord record); offset += JournalRecord.SizeOf(record.Length))
            {
                if (record.Index >= firstIndex)
                {
                    ReadOnlyMemory<byte> payload = bytes.AsMemory(offset + JournalRecord.HeaderSize, record.Length);
                    yield return record.Kind switch
                    {
                        RecordKind.Commands => LogEntryFormat.Dump(record.Index, record.Term, payload, describe),
                        RecordKind.Configuration => string.Create(CultureInfo.InvariantCulture, $"{record.Index} term={record.Term} members bytes={payload.Length}\n"),
                        _ => string.Create(CultureInfo.InvariantCulture, $"  local, position {record.Position}, bytes={payload.Length}\n"),
                    };
                }
            }

            yield return string.Create(CultureInfo.InvariantCulture, $"no record from offset {offset}\n");
        }
    }
}
