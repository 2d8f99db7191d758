using Quorumail.Core.Mail;

namespace Quorumail.Core.Queue;

/// <summary>
/// What a run of applied commands has changed: all that must be persisted, in apply order within each list, and the
/// bodies that may now be deleted. Fill it by <see cref="QueueState.Apply"/>, persist it, <see cref="Clear"/> it, use it again.
/// Persist by overwriting: keys are the message's id, the tombstone's and the suspect's sequence, the owner's name.
/// </summary>
public sealed class QueueChanges
{
    private const int KeptMoves = 4096;

    /// <summary>Messages put or removed. The same id may stand here several times: the last one holds.</summary>
    public List<QueueChange> Messages { get; } = [];

    /// <summary>
    /// Bodies that nobody needs any more, of removed and of abandoned messages; some may never have existed. Nothing
    /// else allows a body to be deleted. None of these ids comes back into the queue.
    /// </summary>
    public List<QueueId> ReleasedBodies { get; } = [];

    /// <summary>Bodies that came with their messages, as they are to be stored.</summary>
    public List<(QueueId Id, ReadOnlyMemory<byte> Body)> CarriedBodies { get; } = [];

    /// <summary>Suspects to add.</summary>
    public List<ListedSuspect> SuspectsListed { get; } = [];

    /// <summary>Sequences of suspects to delete; may name one that <see cref="SuspectsListed"/> adds.</summary>
    public List<long> SuspectsDropped { get; } = [];

    /// <summary>Tombstones to add.</summary>
    public List<Tombstone> TombstonesSet { get; } = [];

    /// <summary>Sequences of tombstones to delete; may name one that <see cref="TombstonesSet"/> adds.</summary>
    public List<long> TombstonesForgotten { get; } = [];

    /// <summary>Messages that have come to their end; persist each under its slot.</summary>
    public List<FinishedId> Finished { get; } = [];

    /// <summary>Owners whose epoch has risen; the last entry of an owner holds.</summary>
    public List<KeyValuePair<string, long>> OwnerEpochs { get; } = [];

    /// <summary>
    /// Messages whose owner or epoch has changed with all others of a node's. They need not be persisted: a
    /// <see cref="Placement"/> or an owner's epoch stands for them.
    /// </summary>
    public List<OwnerMove> Moved { get; } = [];

    /// <summary>Messages in the queue that have not changed, but whose persisted record is to be replaced.</summary>
    public List<QueuedMessage> Renewed { get; } = [];

    /// <summary>Placements to add.</summary>
    public List<Placement> Placements { get; } = [];

    /// <summary>Epochs of placements to delete: no record needs them any more once <see cref="Renewed"/> is persisted.</summary>
    public List<long> PlacementsDropped { get; } = [];

    /// <summary>Suspensions to put under scope and name, or, with null, to delete. The last entry of a name holds.</summary>
    public List<(SuspensionScope Scope, string Name, Suspension? Suspension)> Suspensions { get; } = [];

    /// <summary>Removed messages to list.</summary>
    public List<Removal> Removals { get; } = [];

    /// <summary>The messages of <see cref="Removals"/>, in its order, as they were; nothing to persist.</summary>
    public List<QueuedMessage> Deleted { get; } = [];

    /// <summary>Sequences of removed messages to list no more; may name one that <see cref="Removals"/> adds.</summary>
    public List<long> RemovalsDropped { get; } = [];

    /// <summary>How many messages the last <see cref="AdministerCommand"/> has changed.</summary>
    public int Matched { get; internal set; }

    /// <summary>Whether there were more than its limit.</summary>
    public bool HasMore { get; internal set; }

    /// <summary>The members have changed: persist <see cref="QueueState.Members"/> as it stands after the last command.</summary>
    public bool MembersChanged { get; internal set; }

    /// <summary>The marks have changed: persist <see cref="QueueState.Marks"/> as it stands after the last command.</summary>
    public bool MarksChanged { get; internal set; }

    /// <summary>Whether nothing is to be persisted or deleted.</summary>
    public bool IsEmpty =>
        Messages.Count == 0 && ReleasedBodies.Count == 0 && SuspectsListed.Count == 0 && SuspectsDropped.Count == 0
        && TombstonesSet.Count == 0 && TombstonesForgotten.Count == 0 && OwnerEpochs.Count == 0
        && Finished.Count == 0 && Moved.Count == 0 && Renewed.Count == 0 && Placements.Count == 0
        && PlacementsDropped.Count == 0 && Suspensions.Count == 0 && Removals.Count == 0
        && RemovalsDropped.Count == 0 && !MembersChanged && !MarksChanged;

    /// <summary>Empties all lists and keeps their memory, unless it is much.</summary>
    public void Clear()
    {
        Messages.Clear();
        ReleasedBodies.Clear();
        CarriedBodies.Clear();
        SuspectsListed.Clear();
        SuspectsDropped.Clear();
        TombstonesSet.Clear();
        TombstonesForgotten.Clear();
        OwnerEpochs.Clear();
        Finished.Clear();
        Moved.Clear();
        if (Moved.Capacity > KeptMoves)
        {
            Moved.Capacity = 0;
        }

        Renewed.Clear();
        Placements.Clear();
        PlacementsDropped.Clear();
        Suspensions.Clear();
        Removals.Clear();
        Deleted.Clear();
        RemovalsDropped.Clear();
        Matched = 0;
        HasMore = false;
        MembersChanged = false;
        MarksChanged = false;
    }
}
