using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Core.Tests.Queue;

/// <summary>What a disk would hold if it wrote every change.</summary>
internal sealed class QueueStore
{
    private readonly SortedDictionary<QueueId, QueuedMessage> _messages = [];
    private readonly SortedDictionary<long, Suspect> _suspects = [];
    private readonly SortedDictionary<long, Tombstone> _tombstones = [];
    private readonly Dictionary<string, long> _epochs = new(StringComparer.Ordinal);
    private readonly Dictionary<int, FinishedId> _finished = [];
    private readonly SortedDictionary<long, Placement> _placements = [];
    private readonly Dictionary<(SuspensionScope, string), Suspension?> _suspensions = [];
    private readonly SortedDictionary<long, Removal> _removals = [];
    private QueueMarks _marks = QueueMarks.Initial;
    private QueueMembers? _members;

    /// <summary>What a disk holds that is given a state whole.</summary>
    public static QueueStore Of(QueueState state)
    {
        var store = new QueueStore { _marks = state.Marks, _members = state.Members };
        foreach (var message in state.Messages)
        {
            store._messages[message.Id] = message;
        }

        foreach (var (sequence, suspect) in state.Suspects)
        {
            store._suspects[sequence] = suspect;
        }

        foreach (var tombstone in state.Tombstones)
        {
            store._tombstones[tombstone.Sequence] = tombstone;
        }

        foreach (var (owner, epoch) in state.OwnerEpochs)
        {
            store._epochs[owner] = epoch;
        }

        foreach (var finished in state.Finished)
        {
            store._finished[finished.Slot] = finished;
        }

        foreach (var suspension in state.Suspensions)
        {
            store._suspensions[(suspension.Scope, suspension.Name)] = suspension;
        }

        foreach (var removal in state.Removals)
        {
            store._removals[removal.Sequence] = removal;
        }

        return store;
    }

    public void Write(QueueChanges changes, QueueState state)
    {
        changes.Renewed.ForEach(m => _messages[m.Id] = m);
        foreach (var (id, message) in changes.Messages)
        {
            if (message is null)
            {
                _messages.Remove(id);
            }
            else
            {
                _messages[id] = message;
            }
        }

        changes.SuspectsListed.ForEach(s => _suspects[s.Sequence] = s.Suspect);
        changes.SuspectsDropped.ForEach(s => _suspects.Remove(s));
        changes.TombstonesSet.ForEach(t => _tombstones[t.Sequence] = t);
        changes.TombstonesForgotten.ForEach(t => _tombstones.Remove(t));
        changes.OwnerEpochs.ForEach(e => _epochs[e.Key] = e.Value);
        changes.Finished.ForEach(f => _finished[f.Slot] = f);
        changes.Placements.ForEach(p => _placements[p.Epoch] = p);
        changes.PlacementsDropped.ForEach(p => _placements.Remove(p));
        _members = changes.MembersChanged ? state.Members : _members;
        changes.Suspensions.ForEach(s => _suspensions[(s.Scope, s.Name)] = s.Suspension);
        changes.Removals.ForEach(r => _removals[r.Sequence] = r);
        changes.RemovalsDropped.ForEach(r => _removals.Remove(r));
        if (changes.MarksChanged)
        {
            _marks = state.Marks;
        }
    }

    public QueueState Read(QueueLimits limits) => QueueState.Restore(
        new QueueRecords(
            _marks, _epochs, _tombstones.Values, _suspects.Select(s => new ListedSuspect(s.Key, s.Value)), _messages.Values.Reverse())
        {
            Finished = _finished.Values.OrderBy(f => f.Sequence),
            Members = _members,
            Suspensions = _suspensions.Values.OfType<Suspension>(),
            Removals = _removals.Values,
            Placements = _placements.Values,
        },
        limits);

    public static string Dump(QueueState state) => string.Join('\n',
        state.Messages.OrderBy(m => m.Id).Select(m => $"{m with { Recipients = [], Holders = [], BodyHash = default }} "
                + $"{string.Join(',', m.Holders)} {Convert.ToHexString(m.BodyHash.Span)} {string.Join(';', m.Recipients)}")
            .Concat(state.Suspects.Select(s => s.ToString()))
            .Concat(state.Tombstones.Select(t => t.ToString()))
            .Concat(state.OwnerEpochs.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => e.ToString()))
            .Concat(state.Finished.Select(f => f.ToString()))
            .Concat(state.Suspensions.Select(s => s.ToString())).Concat(state.Removals.Select(r => r.ToString()))
            .Append(state.Marks.ToString()).Append(state.Counts.ToString())
            .Append(state.Members?.ToString()).Append(state.Copies.ToString()));
}
