using Quorumail.Core.Delivery;
using Quorumail.Core.Queue;
using Quorumail.Server.Storage;

namespace Quorumail.Server.Delivery;

/// <summary>Composes the notices that an attempt asks for and makes their bodies durable.</summary>
internal sealed class NoticeWriter(IDeliveryQueue queue, RetryPolicy retry, string hostName, TimeProvider time)
{
    /// <summary>Writes each planned notice and returns the commands that enqueue them, in order.</summary>
    /// <exception cref="StorageException">The disk is full or has failed.</exception>
    public async ValueTask<IReadOnlyList<EnqueueCommand>> WriteAsync(IReadOnlyList<NoticePlan> plans, CancellationToken token)
    {
        if (plans.Count == 0)
        {
            return [];
        }

        var commands = new EnqueueCommand[plans.Count];
        for (var i = 0; i < commands.Length; i++)
        {
            var plan = plans[i];
            var now = time.GetUtcNow().ToUnixTimeMilliseconds();
            var context = new NoticeContext(hostName, now, now + (retry.ExpiresAt(plan.Original) - queue.ClusterTime));
            var original = await ReadOriginalAsync(plan, token);
            commands[i] = await queue.StoreNoticeAsync(plan, NoticeComposer.Compose(plan, context, original.Span), token);
        }

        return commands;
    }

    /// <summary>As much of the original as the notice wants; nothing if it can't be read, since the notice matters more.</summary>
    private async ValueTask<ReadOnlyMemory<byte>> ReadOriginalAsync(NoticePlan plan, CancellationToken token)
    {
        try
        {
            using var content = await queue.OpenAsync(plan.Original.Id, token);
            var original = new byte[plan.WantedOctets];
            var length = 0;
            while (length < original.Length && await content.ReadAsync(token) is { IsEmpty: false } piece)
            {
                var taken = Math.Min(piece.Length, original.Length - length);
                piece.Span[..taken].CopyTo(original.AsSpan(length));
                length += taken;
            }

            return original.AsMemory(0, length);
        }
        catch (StorageException)
        {
            return ReadOnlyMemory<byte>.Empty;
        }
    }
}
