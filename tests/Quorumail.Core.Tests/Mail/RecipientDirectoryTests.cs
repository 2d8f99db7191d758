using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Tests.Mail;

public sealed class RecipientDirectoryTests
{
    private static readonly Dictionary<string, IReadOnlyList<string>> Aliases = new()
    {
        ["team"] = ["joe", "ann@here.test", "guest@elsewhere.test"],
        ["all@here.test"] = ["team", "joe@here.test"],
        ["ann@here.test"] = ["ann@here.test", "copy@elsewhere.test"],
        ["@second.test"] = ["joe"],
    };

    private static RecipientDirectory Make(params string[] expectedErrors)
    {
        var errors = new List<string>();
        var directory = new RecipientDirectory(
            ["here.test", "second.test"],
            ["backup.test"],
            [new DirectoryUser("joe", string.Empty, ["joe@here.test", "joseph@here.test"]), new DirectoryUser("ann", string.Empty, [])],
            Aliases,
            errors);
        Assert.Equal(expectedErrors, errors);
        return directory;
    }

    private static MailPath Path(string text)
    {
        var fault = MailPath.Parse(Encoding.UTF8.GetBytes(text), isReverse: false, allowsUtf8: true, out var path, out _);
        Assert.Equal(AddressFault.None, fault);
        return path;
    }

    [Theory]
    [InlineData("<joe@here.test>", "joe@here.test")]
    [InlineData("<JOE@Here.Test>", "joe@here.test")]
    [InlineData("<\"joe\"@here.test>", "joe@here.test")]
    [InlineData("<joseph@here.test>", "joseph@here.test")]
    [InlineData("<ann@second.test>", "ann@second.test")]
    [InlineData("<anyone@second.test>", "joe@here.test")]
    [InlineData("<postmaster>", "postmaster@here.test")]
    [InlineData("<Postmaster@here.test>", "Postmaster@here.test")]
    [InlineData("<postmaster@second.test>", "postmaster@second.test")]
    [InlineData("<team@here.test>", "joe@here.test,ann@here.test,copy@elsewhere.test,guest@elsewhere.test")]
    [InlineData("<all@here.test>", "joe@here.test,ann@here.test,copy@elsewhere.test,guest@elsewhere.test")]
    [InlineData("<ann@here.test>", "ann@here.test,copy@elsewhere.test")]
    public void Local_addresses_lead_to_mailboxes(string path, string expected)
    {
        var verdict = Make().Resolve(Path(path), mayRelay: false, out var address, out var addresses);
        Assert.Equal(AddressVerdict.Local, verdict);
        Assert.Equal(expected, addresses is null ? address : string.Join(',', addresses));
    }

    [Theory]
    [InlineData("<nobody@here.test>", AddressVerdict.UnknownUser)]
    [InlineData("<\"x@other\"@here.test>", AddressVerdict.UnknownUser)]
    [InlineData("<x%other@here.test>", AddressVerdict.UnknownUser)]
    [InlineData("<a/b@here.test>", AddressVerdict.UnknownUser)]
    [InlineData("<x@backup.test>", AddressVerdict.Relay)]
    [InlineData("<x%other@backup.test>", AddressVerdict.RelayDenied)]
    [InlineData("<other!x@backup.test>", AddressVerdict.RelayDenied)]
    [InlineData("<\"x@other\"@backup.test>", AddressVerdict.RelayDenied)]
    [InlineData("<x@sub.backup.test>", AddressVerdict.RelayDenied)]
    [InlineData("<x@foreign.test>", AddressVerdict.RelayDenied)]
    [InlineData("<@here.test:x@foreign.test>", AddressVerdict.RelayDenied)]
    [InlineData("<x@[192.0.2.1]>", AddressVerdict.RelayDenied)]
    public void A_stranger_gets_no_further_than_ours(string path, AddressVerdict expected) =>
        Assert.Equal(expected, Make().Resolve(Path(path), mayRelay: false, out _, out _));

    [Fact]
    public void Who_may_relay_reaches_everyone_but_unknown_users_of_ours()
    {
        Assert.Equal(AddressVerdict.Relay, Make().Resolve(Path("<x@foreign.test>"), mayRelay: true, out _, out _));
        Assert.Equal(AddressVerdict.UnknownUser, Make().Resolve(Path("<nobody@here.test>"), mayRelay: true, out _, out _));
    }

    [Fact]
    public void What_a_recipient_resolves_to_has_a_mailbox()
    {
        var directory = Make();
        Assert.Equal("joe", directory.MailboxOf("joe@here.test"));
        Assert.Equal("ann", directory.MailboxOf("ann@second.test"));
        Assert.Equal("postmaster", directory.MailboxOf("Postmaster@here.test"));
        Assert.Null(directory.MailboxOf("copy@elsewhere.test"));
    }

    [Theory]
    [InlineData("all@here.test", "joe@here.test,ann@here.test,copy@elsewhere.test,guest@elsewhere.test")]
    [InlineData("anyone@second.test", "joe@here.test")]
    [InlineData("JOSEPH@here.test", "joseph@here.test")]
    [InlineData("x@foreign.test", "x@foreign.test")]
    [InlineData("nobody@here.test", "")]
    public void Mail_to_a_sender_goes_where_mail_to_a_recipient_of_that_name_goes(string address, string expected) =>
        Assert.Equal(expected, string.Join(',', Make().ReadersOf(address)));

    [Fact]
    public void Users_send_from_their_own_addresses()
    {
        var directory = Make();
        Assert.True(directory.MaySendFrom("joe", Path("<Joseph@here.test>")));
        Assert.False(directory.MaySendFrom("joe", Path("<ann@here.test>")));
        Assert.False(directory.MaySendFrom("joe", Path("<joe@foreign.test>")));
        Assert.True(directory.MaySendFrom("joe", new MailPath(string.Empty, 0)));
    }

    [Fact]
    public void Everything_wrong_is_named()
    {
        var errors = new List<string>();
        _ = new RecipientDirectory(
            ["here.test"],
            [],
            [new DirectoryUser("joe", "plain", ["joe@here.test", "joe@foreign.test", "joe"]), new DirectoryUser("jo", string.Empty, ["JOE@here.test"])],
            new Dictionary<string, IReadOnlyList<string>>
            {
                ["a"] = ["b"],
                ["b"] = ["a@here.test"],
                ["c"] = ["nobody"],
                ["d"] = ["nobody@here.test"],
                ["e@foreign.test"] = ["joe"],
            },
            errors);
        string[] expected =
        [
            "user joe: the domain of joe@foreign.test is not in local_domains",
            "user joe: \"joe\" is no address",
            "user joe: password_hash is not what \"smtp-server password\" prints",
            "user jo: JOE@here.test belongs to joe already",
            "alias a: leads to itself (a → b → a)",
            "alias b: leads to itself (b → a → b)",
            "alias c: \"nobody\" is neither an address nor a user",
            "alias d: nobody@here.test is nobody's address here",
            "alias e@foreign.test: its domain is not in local_domains",
        ];
        Assert.Equal(expected, errors);
    }

    [Fact]
    public void Aliases_are_followed_ten_deep_and_no_deeper()
    {
        Assert.Empty(Chain(10));
        Assert.Single(Chain(11), error => error.Contains("more than 10 aliases", StringComparison.Ordinal));

        static List<string> Chain(int length)
        {
            var aliases = new Dictionary<string, IReadOnlyList<string>>();
            for (var i = 1; i < length; i++)
            {
                aliases[$"a{i}"] = [$"a{i + 1}"];
            }

            aliases[$"a{length}"] = ["joe"];
            var errors = new List<string>();
            _ = new RecipientDirectory(["here.test"], [], [new DirectoryUser("joe", string.Empty, [])], aliases, errors);
            return errors;
        }
    }
}
