using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue.History;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Queue;

/// <summary>
/// What applied entries have changed and the database does not have yet. Merging keeps the latest state of each message,
/// so that one that came and went in between is never written.
/// </summary>
/// <param name="bodies">The bodies that came in the log.</param>
internal sealed class PendingChanges(CarriedBodies bodies)
{
    /// <summary>Messages whose record is out of date.</summary>
    public Dictionary<QueueId, Record> Messages { get; } = [];

    /// <summary>Messages whose bodies came in the log and are to be written.</summary>
    public HashSet<QueueId> Carried { get; } = [];

    /// <summary>Octets of these bodies, or more.</summary>
    public long CarriedBytes { get; private set; }

    /// <summary>Bodies to delete, with their size if it is known, else -1.</summary>
    public List<(QueueId Id, long Size)> Bodies { get; } = [];

    /// <summary>Octets of the bodies of known size.</summary>
    public long BodyBytes { get; private set; }

    public List<ListedSuspect> SuspectsListed { get; } = [];

    public List<long> SuspectsDropped { get; } = [];

    public List<Tombstone> TombstonesSet { get; } = [];

    public List<long> TombstonesForgotten { get; } = [];

    /// <summary>By slot; the latest of a slot holds.</summary>
    public Dictionary<int, FinishedId> Finished { get; } = [];

    public Dictionary<string, long> OwnerEpochs { get; } = new(StringComparer.Ordinal);

    public Dictionary<long, Placement> Placements { get; } = [];

    /// <summary>Epochs of placements whose records are to be deleted.</summary>
    public List<long> PlacementsDropped { get; } = [];

    /// <summary>By scope and name; null: the record is to be deleted.</summary>
    public Dictionary<(SuspensionScope Scope, string Name), Suspension?> Suspensions { get; } = [];

    public List<Removal> Removals { get; } = [];

    public List<long> RemovalsDropped { get; } = [];

    /// <summary>What is to be told of messages later; nothing where no history is kept.</summary>
    public List<HistoryNote> History { get; } = [];

    /// <summary>The members, if they have changed.</summary>
    public QueueMembers? Members { get; private set; }

    /// <summary>The marks, if they have changed.</summary>
    public QueueMarks? Marks { get; private set; }

    /// <summary>Number of changes.</summary>
    public int Count => Messages.Count + Carried.Count + Bodies.Count + SuspectsListed.Count + SuspectsDropped.Count
        + TombstonesSet.Count + TombstonesForgotten.Count + OwnerEpochs.Count + Finished.Count + Placements.Count
        + PlacementsDropped.Count + Suspensions.Count + Removals.Count + RemovalsDropped.Count + History.Count + (Members is null ? 0 : 1) + (Marks is null ? 0 : 1);

    /// <summary>Adds what one command has changed.</summary>
    /// <param name="changes">As collected by <see cref="QueueState.Apply"/> for this command alone.</param>
    /// <param name="subject">The message that the command names, as it was before; null if it was not in the queue.</param>
    /// <param name="allExisted">The command changes only messages that were in the queue before.</param>
    /// <param name="state">The queue after the command.</param>
    public void Add(QueueChanges changes, QueuedMessage? subject, bool allExisted, QueueState state)
    {
        // These stood in the queue before the command, which may have changed or removed them.
        foreach (var message in changes.Renewed)
        {
            Messages[message.Id] = new Record(message, MayBeStored: true);
        }

        foreach (var (id, message) in changes.Messages)
        {
            var stored = Messages.TryGetValue(id, out var pending)
                ? pending.MayBeStored
                : allExisted || id == subject?.Id;
            if (message is null && !stored)
            {
                Messages.Remove(id);
            }
            else
            {
                Messages[id] = new Record(message, stored);
            }
        }

        AddBodies(changes, subject);
        SuspectsListed.AddRange(changes.SuspectsListed);
        SuspectsDropped.AddRange(changes.SuspectsDropped);
        TombstonesSet.AddRange(changes.TombstonesSet);
        TombstonesForgotten.AddRange(changes.TombstonesForgotten);
        foreach (var finished in changes.Finished)
        {
            Finished[finished.Slot] = finished;
        }

        foreach (var (owner, epoch) in changes.OwnerEpochs)
        {
            OwnerEpochs[owner] = epoch;
        }

        foreach (var placement in changes.Placements)
        {
            Placements[placement.Epoch] = placement;
        }

        foreach (var epoch in changes.PlacementsDropped)
        {
            Placements.Remove(epoch);
            PlacementsDropped.Add(epoch);
        }

        AddAdministration(changes);
        if (changes.MembersChanged)
        {
            Members = state.Members;
        }

        if (changes.MarksChanged)
        {
            Marks = state.Marks;
        }
    }

    /// <summary>Takes over the bodies that have not been written and still belong to a message.</summary>
    public void TakeCarried(PendingChanges from, QueueState state)
    {
        foreach (var id in from.Carried)
        {
            if (state.TryGet(id, out _))
            {
                Carried.Add(id);
            }
            else
            {
                bodies.Remove(id);
            }
        }
    }

    public void Clear()
    {
        Messages.Clear();
        Carried.Clear();
        CarriedBytes = 0;
        Bodies.Clear();
        BodyBytes = 0;
        SuspectsListed.Clear();
        SuspectsDropped.Clear();
        TombstonesSet.Clear();
        TombstonesForgotten.Clear();
        OwnerEpochs.Clear();
        Finished.Clear();
        Placements.Clear();
        PlacementsDropped.Clear();
        Suspensions.Clear();
        Removals.Clear();
        RemovalsDropped.Clear();
        History.Clear();
        Members = null;
        Marks = null;
    }

    private void AddBodies(QueueChanges changes, QueuedMessage? subject)
    {
        foreach (var (id, body) in changes.CarriedBodies)
        {
            bodies.Add(id, body);
            Carried.Add(id);
            CarriedBytes += body.Length;
        }

        foreach (var id in changes.ReleasedBodies)
        {
            if (Carried.Remove(id))
            {
                bodies.Remove(id);
                continue;
            }

            var size = subject is not null && subject.Id == id ? subject.Size : -1;
            Bodies.Add((id, size));
            BodyBytes += Math.Max(0, size);
        }
    }

    private void AddAdministration(QueueChanges changes)
    {
        foreach (var (scope, name, suspension) in changes.Suspensions)
        {
            Suspensions[(scope, name)] = suspension;
        }

        Removals.AddRange(changes.Removals);
        RemovalsDropped.AddRange(changes.RemovalsDropped);
    }

    /// <summary>A message as it is to be stored.</summary>
    /// <param name="Message">Null: its record is to be deleted.</param>
    /// <param name="MayBeStored">The database may hold an earlier record of it.</param>
    public readonly record struct Record(QueuedMessage? Message, bool MayBeStored);
}
