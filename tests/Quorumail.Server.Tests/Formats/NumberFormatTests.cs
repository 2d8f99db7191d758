using System.Buffers.Binary;
using System.Globalization;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Membership;
using Quorumail.Cluster.Raft;
using Quorumail.Core.Cluster;
using Quorumail.Core.Cluster.State;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;
using Quorumail.Server.Queue;
using Quorumail.Server.Replication;
using Quorumail.Tests.Formats;

namespace Quorumail.Server.Tests.Formats;

/// <summary>Numbers that stand for something in logs, databases and frames: none is given another meaning.</summary>
public sealed class NumberFormatTests
{
    private static readonly Type[] Enumerations =
    [
        typeof(DsnReturn), typeof(DsnNotify), typeof(BodyTraits), typeof(ApplyStatus), typeof(QueueAction), typeof(SuspensionScope), typeof(MessageState),
        typeof(RecipientState), typeof(RecipientOutcome), typeof(SuspectReason), typeof(QueueSnapshotRecord.Kind),
        typeof(LimitKind), typeof(LimitPolicy), typeof(LimitStatus), typeof(StateAction), typeof(StateCondition), typeof(StateStatus),
        typeof(CommandTarget), typeof(ClusterCommand.Kind), typeof(RecordKind), typeof(FrameType), typeof(FrameAnswer), typeof(LeadFrame), typeof(MemberFrame),
        typeof(SnapshotFrame), typeof(RefusalReason), typeof(ConnectionPurpose), typeof(CopyStatus),
    ];

    [Fact]
    public void Numbers_mean_what_they_ever_did()
    {
        var file = GoldenFile.Open("numbers.golden");
        foreach (var type in Enumerations)
        {
            var owner = type.DeclaringType is { } outer ? outer.Name + "." : "";
            foreach (var value in Enum.GetValues(type))
            {
                var number = new byte[4];
                BinaryPrimitives.WriteInt32BigEndian(number, Convert.ToInt32(value, CultureInfo.InvariantCulture));
                file.Writes($"{owner}{type.Name}.{value}", number);
            }
        }

        file.Close();
    }
}
