using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Tests.Queue;

/// <summary>Arbitrary commands and records, with every optional part both there and missing.</summary>
internal static class Generators
{
    public static readonly Gen<QueueId> Id = Gen.Select(Gen.Long[0, (1L << 48) - 1], Gen.UInt, QueueId.Create);

    public static readonly Gen<string> Text = Gen.OneOf(
        Gen.String[Gen.Char[' ', '~'], 0, 40], Gen.String[Gen.Char['\u00A0', '\u07FF'], 0, 10], Gen.Const("😀@例え.jp"));

    public static readonly Gen<EnvelopeRecipient> Recipient = Gen.Select(
        Text, Gen.Int[0, 15], Text.Null(), (address, notify, original) =>
            new EnvelopeRecipient(address, (DsnNotify)notify, original));

    public static readonly Gen<BodyHolder> Holder = Gen.Select(Text, Gen.Long, (node, life) => new BodyHolder(node, life));

    public static readonly Gen<RecipientResult> Result = Gen.Select(
        Gen.Int[0, 9], Gen.Int[1, 5], Text, Text, Text, Gen.Long, Gen.Bool,
        (recipient, outcome, reply, code, hop, next, noticed) =>
            new RecipientResult(recipient, (RecipientOutcome)outcome, reply, code, hop, next, noticed));

    public static readonly Gen<EnqueueCommand> Enqueue = Gen.Select(
        Id,
        Gen.Select(Text, Recipient.Array[1, 5], Gen.Int[0, 2], Text.Null(), (from, to, ret, envelopeId) =>
            new Envelope(from, to, (DsnReturn)ret, envelopeId)),
        Gen.Long[0, long.MaxValue],
        Gen.Int[0, 15],
        Gen.Byte.Array[16],
        Holder.Array[0, 3],
        Text,
        Text,
        (id, envelope, size, traits, hash, holders, owner, tenant) =>
            new EnqueueCommand(id, envelope, size, (BodyTraits)traits, hash, holders, owner, tenant));

    public static readonly Gen<QueueCommand> Command = Gen.OneOf<QueueCommand>(
        Enqueue.Select(c => (QueueCommand)c),
        Id.Select(id => (QueueCommand)new AbandonCommand(id)),
        Id.Select(id => (QueueCommand)new WithdrawCommand(id)),
        Id.Select(id => (QueueCommand)new ReportUnreadReplyCommand(id)),
        Gen.Select(Id, Gen.Long, Gen.Int, Gen.Int.Array[0, 5], (id, epoch, attempt, recipients) =>
            (QueueCommand)new AttemptStartedCommand(id, epoch, attempt, recipients)),
        Gen.Select(Id, Gen.Long, Gen.Int, Result.Array[0, 5], Enqueue.Array[0, 2], (id, epoch, attempt, results, notices) =>
            (QueueCommand)new AttemptEndedCommand(id, epoch, attempt, results, notices)),
        Text.Select(owner => (QueueCommand)new OwnerRestartedCommand(owner)),
        Gen.Select(Holder.Array[0, 4], Gen.Int, Gen.Long, Gen.Long, (nodes, copies, wait, version) =>
            (QueueCommand)new NodesChangedCommand(nodes, copies, wait, version)),
        Gen.Select(Text, Gen.Long, (node, incarnation) => (QueueCommand)new NodeDownCommand(node, incarnation)),
        Gen.Select(Text, Gen.Long, Gen.Long, (node, incarnation, life) => (QueueCommand)new NodeUpCommand(node, incarnation, life)),
        Gen.Select(Text, Gen.Bool, Gen.Bool, (node, draining, vacating) => (QueueCommand)new NodeDrainingCommand(node, draining, vacating)),
        Gen.Select(Id.Array[0, 5], Holder, Gen.Bool, (ids, holder, added) =>
            (QueueCommand)new HoldersChangedCommand(ids, holder, added)),
        Gen.Select(Id, Gen.Long, Gen.Int, Gen.Int.Array[0, 5], (id, epoch, attempt, recipients) =>
            (QueueCommand)new AttemptGivenUpCommand(id, epoch, attempt, recipients)),
        Gen.Select(
            Gen.Int[1, 4], Gen.Select(Id.Array[0, 4].Null(), Text.Null(), Text.Null(), Text.Null(), Gen.Int[-1, 3], Gen.Long), Gen.Int, Text,
            (action, s, limit, reason) => (QueueCommand)new AdministerCommand(
                (QueueAction)action,
                new QueueSelection
                {
                    Ids = s.Item1,
                    Sender = s.Item2,
                    Recipient = s.Item3,
                    Domain = s.Item4,
                    State = s.Item5 < 0 ? null : (MessageState)s.Item5,
                    MinAge = s.Item6,
                },
                limit,
                reason)
            {
                IncludesDue = limit % 2 == 0,
            }),
        Gen.Select(Gen.Int[1, 2], Text, Text, Gen.Long, (scope, name, reason, expiresAt) =>
            (QueueCommand)new SuspendCommand((SuspensionScope)scope, name, reason, expiresAt)),
        Gen.Select(Gen.Int[1, 2], Text, (scope, name) => (QueueCommand)new ResumeCommand((SuspensionScope)scope, name)));

    public static readonly Gen<QueueMembers> Members = Gen.Select(
        Gen.Long, Gen.Int, Gen.Long,
        Gen.Select(Text, Gen.Long, Gen.Long, Gen.Bool, Gen.Bool, Gen.Bool, (name, incarnation, life, down, draining, vacating) =>
            new QueueNode(name, incarnation, life, down, draining, vacating)).Array[0, 5],
        (version, copies, wait, nodes) => new QueueMembers(version, copies, wait, nodes));

    public static readonly Gen<QueuedMessage> Message = Gen.Select(
        Enqueue,
        Gen.Select(Recipient, Gen.Int[0, 4], Gen.Int, Gen.Int[0, 2], Gen.Long, Result.Null(), Gen.Bool,
            (recipient, state, attempts, open, next, result, noticed) => new QueuedRecipient(
                recipient, (RecipientState)state, attempts, open, next, result, noticed)
            {
                OpenEpoch = open == 0 ? 0 : next,
            }).Array[1, 4],
        Gen.Long,
        Gen.Long,
        Gen.OneOf(Gen.Const(0L), Gen.Long),
        Gen.Bool,
        (e, recipients, epoch, at, placed, held) => new QueuedMessage(
            e.Id, e.Envelope.ReversePath, e.Envelope.Return, e.Envelope.EnvelopeId, recipients, e.Size, e.Traits,
            e.BodyHash, e.Holders, e.Owner, epoch, at, e.Tenant)
        {
            Placed = placed,
            IsHeld = held,
        });
}
