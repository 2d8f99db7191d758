using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Limits;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Queue;

/// <content>What is written to the database, on its writer's thread.</content>
internal sealed partial class ReplicatedQueue
{
    private void WriteBehind()
    {
        lock (_gate)
        {
            if (!_isDirty || _isWriteQueued)
            {
                return;
            }

            _isWriteQueued = true;
        }

        // Nobody waits for it: a failure is a failed disk, which the health reports.
#pragma warning disable CA2012
        _ = _database.Commits.WriteAsync(new StateWrite(this, needsSync: false));
#pragma warning restore CA2012
    }

    private (long Index, QueueId[] Carried) WritePending(RocksBatch batch, bool isQueued)
    {
        PendingChanges taken;
        PendingLimits limits;
        long index;
        lock (_gate)
        {
            (taken, _pending, _spare) = (_pending, _spare ?? new PendingChanges(_database.Carried), null);
            limits = Limits.TakePending();
            index = AppliedIndex;
            _isDirty = false;
            _isWriteQueued &= !isQueued;
        }

        // Before the records, so that after a crash the log brings again what is not there.
        History?.Write(taken.History);
        QueueId[] carried = [.. taken.Carried];
        _records.WriteBodies(carried, _written < _lastOfEarlierLife);
        _records.Write(batch, taken, limits, index);
        _written = index;
        taken.Clear();
        lock (_gate)
        {
            _spare = taken;
        }

        return (index, carried);
    }

    // Readers find them in the database from now on.
    private void Forget(QueueId[] carried)
    {
        foreach (var id in carried)
        {
            _database.Carried.Remove(id);
        }
    }

    private QueueId[] SwitchGeneration(RocksBatch batch, QueueState next, LimitRecords? limits, long index)
    {
        lock (_gate)
        {
            var gone = new PendingChanges(_database.Carried);
            foreach (var message in _state.Messages)
            {
                if (!next.TryGet(message.Id, out _))
                {
                    gone.Bodies.Add((message.Id, message.Size));
                    PublishChange(message.Id, null);
                }
            }

            foreach (var message in next.Messages)
            {
                PublishChange(message.Id, message);
            }

            if (_publishes)
            {
                Feed.PutSuspensions();
            }

            // Bodies that were released but are still there must go; records of the old generation need not be written.
            gone.Bodies.AddRange(_pending.Bodies);
            gone.TakeCarried(_pending, next);
            History?.Write(_pending.History);
            _pending.Clear();
            _state = next;
            Limits.Replace(limits);
            LookAtOwnNode();
            Interlocked.Exchange(ref _appliedIndex, index);
            Interlocked.Exchange(ref _idFloor, next.IdFloor);
            _unchecked++;
            _records.SwitchToNext(batch, index);
            QueueId[] carried = [.. gone.Carried];
            _records.WriteBodies(carried, mayExist: true);
            _records.Write(batch, gone, PendingLimits.None, index);
            _written = index;
            return carried;
        }

        void PublishChange(QueueId id, QueuedMessage? message)
        {
            if (_publishes)
            {
                Feed.Put(id, message);
            }
        }
    }

    /// <summary>Writes what is pending when its turn comes, which may be more than was pending when it was queued.</summary>
    private sealed class StateWrite(ReplicatedQueue queue, bool needsSync) : WriteRequest
    {
        private QueueId[] _carried = [];

        public override bool NeedsSync => needsSync;

        public override int ByteCount => 64 << 10;

        /// <summary>The index that the database has reached.</summary>
        public long Index { get; private set; }

        public override void AddTo(RocksBatch batch) => (Index, _carried) = queue.WritePending(batch, isQueued: !needsSync);

        protected override void OnWritten() => queue.Forget(_carried);
    }

    /// <summary>Writes records of a snapshot beside the present ones; null takes them back.</summary>
    private sealed class NextGenerationWrite(ReplicatedQueue queue, IReadOnlyList<QueueSnapshotRecord>? records)
        : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => 512 << 10;

        public override void AddTo(RocksBatch batch)
        {
            if (records is null)
            {
                queue._records.DropNext(batch);
                return;
            }

            foreach (var record in records)
            {
                queue._records.WriteNext(batch, record);
            }
        }
    }

    private sealed class CheckedWrite(ReplicatedQueue queue, int number) : WriteRequest
    {
        public override bool NeedsSync => false;

        public override int ByteCount => 64;

        // On the thread that switches generations, too.
        public override void AddTo(RocksBatch batch)
        {
            if (Interlocked.CompareExchange(ref queue._unchecked, 0, number) == number)
            {
                queue._records.PutChecked(batch);
            }
        }
    }

    private sealed class GenerationSwitch(ReplicatedQueue queue, QueueState next, LimitRecords? limits, long index) : WriteRequest
    {
        private QueueId[] _carried = [];

        public override bool NeedsSync => true;

        public override int ByteCount => 64 << 10;

        public override void AddTo(RocksBatch batch) => _carried = queue.SwitchGeneration(batch, next, limits, index);

        protected override void OnWritten() => queue.Forget(_carried);
    }
}
