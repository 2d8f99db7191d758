using System.Text.Json;
using CsCheck;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue.Format;

namespace Quorumail.Server.Tests.Queue;

public sealed class QueueEncodingTests
{
    [Fact]
    public void Every_command_round_trips() => Generators.Command.Sample(command =>
        Text(QueueEncoding.DecodeCommand(QueueEncoding.Encode(command))) == Text(command));

    [Fact]
    public void Every_message_round_trips() => Generators.Message.Sample(message =>
        Text(QueueEncoding.DecodeMessage(QueueEncoding.Encode(message))) == Text(message));

    [Fact]
    public void Suspects_tombstones_epochs_and_marks_round_trip() => Gen.Select(
        Generators.Id, Generators.Text, Gen.Long, Gen.Int[1, 4]).Sample((id, text, number, reason) =>
        {
            var suspect = new ListedSuspect(number, new Suspect(id, text, reason, (SuspectReason)reason, number, text));
            var tombstone = new Tombstone(number, id, number);
            var marks = new QueueMarks(number, number + 1, number + 2, -1, 7) { NextFinished = number, FinishedFloor = -1 };
            var finished = new FinishedId(number, 5, id);
            return QueueEncoding.DecodeSuspect(QueueEncoding.Encode(suspect)) == suspect
                && QueueEncoding.DecodeFinished(QueueEncoding.Encode(finished)) == finished
                && QueueEncoding.DecodeTombstone(QueueEncoding.Encode(tombstone)) == tombstone
                && QueueEncoding.DecodeOwnerEpoch(QueueEncoding.Encode(new KeyValuePair<string, long>(text, number)))
                    is var (owner, epoch) && owner == text && epoch == number
                && QueueEncoding.DecodeMarks(QueueEncoding.Encode(marks)) == marks;
        });

    [Fact]
    public void Fields_of_a_later_version_are_skipped() => Generators.Command.Sample(command =>
    {
        // Field 500, length-delimited, of three bytes.
        byte[] bytes = [.. QueueEncoding.Encode(command), 0xA2, 0x1F, 3, 1, 2, 3];
        return Text(QueueEncoding.DecodeCommand(bytes)) == Text(command);
    });

    [Fact]
    public void A_later_format_is_refused_and_not_guessed_at()
    {
        var bytes = QueueEncoding.Encode(new AbandonCommand(QueueId.Create(1, 2)));
        bytes[0]++;
        Assert.Throws<NewerFormatException>(() => QueueEncoding.DecodeCommand(bytes));
    }

    [Fact]
    public void What_is_no_command_is_none_and_does_not_throw() => Gen.Byte.Array[0, 100].Sample(bytes =>
    {
        if (bytes.Length > 0)
        {
            bytes[0] = QueueEncoding.Version;
        }

        _ = QueueEncoding.DecodeCommand(bytes);
    });

    [Fact]
    public void A_dump_is_readable()
    {
        var command = new EnqueueCommand(
            QueueId.Create(1, 2), new Envelope("a@b.example", [new EnvelopeRecipient("c@d.example")]), 12,
            BodyTraits.None, new byte[16], [], "n1");
        var dump = QueueEncoding.DumpCommand(QueueEncoding.Encode(command));
        Assert.Contains("\"reverse_path\": \"a@b.example\"", dump, StringComparison.Ordinal);
        Assert.Contains("\"address\": \"c@d.example\"", dump, StringComparison.Ordinal);
    }

    /// <summary>Lists and byte arrays compare by reference in records; their text compares by content.</summary>
    internal static string Text<T>(T value) => value is null
        ? "null"
        : value.GetType().Name + JsonSerializer.Serialize(value, value.GetType());
}
