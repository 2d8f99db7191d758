using System.Collections;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The entries of one message. The engine takes it that a member which took them has everything that was asked for; if the
/// message's limits cut them short, the member's proxy has to say otherwise (see <see cref="RaftMember"/>).
/// </summary>
internal sealed class BoundedEntries(List<JournalEntry> entries, bool isComplete) : IReadOnlyList<IRaftLogEntry>
{
    /// <summary>Whether nothing was cut off.</summary>
    public bool IsComplete => isComplete;

    /// <summary>The entries as the journal gives them.</summary>
    public IReadOnlyList<JournalEntry> Entries => entries;

    public int Count => entries.Count;

    public IRaftLogEntry this[int index] => new JournalLogEntry(entries[index].Term, entries[index].Kind, entries[index].Payload);

    public IEnumerator<IRaftLogEntry> GetEnumerator()
    {
        foreach (JournalEntry entry in entries)
        {
            yield return new JournalLogEntry(entry.Term, entry.Kind, entry.Payload);
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
