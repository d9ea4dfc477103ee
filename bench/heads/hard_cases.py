"""Hand-written hard cases of toxicity, in pairs that share their words and differ in what they do with them.

Counter-speech quotes or names hate to reject it, negation turns it round, profanity can be joy or pain, and a word for
a group is no insult. The sentences were written for Assay (Apache-2.0); none is taken from a published set, so that
HateCheck, left out whole, still says what the fit makes of cases it has not seen.
"""

from __future__ import annotations

from itertools import product

GROUPS = (
    "women", "men", "Black people", "white people", "Asian people", "Jews", "Muslims", "Christians", "Hindus",
    "atheists", "gay people", "lesbians", "trans people", "bisexual people", "immigrants", "refugees", "foreigners",
    "disabled people", "blind people", "deaf people", "autistic people", "old people", "poor people", "homeless people",
    "Mexicans", "Arabs", "Africans", "Indians", "Romani people", "fat people",
)  # fmt: skip

_TOXIC_OF_GROUP = (
    "{g} ruin every neighbourhood they move into.",
    "Honestly, {g} make me sick.",
    "I can't stand {g}, they should all be thrown out.",
    "Someone should teach {g} a lesson with a baseball bat.",
    "{g} are filthy parasites and everyone knows it.",
    "There is a reason why nobody trusts {g}: they are born liars.",
    "We were better off before {g} were allowed to vote.",
    "Never hire {g}. They are too stupid to do the job.",
    "The only good thing {g} could do is disappear.",
    "If {g} show up here they will regret it, I promise you.",
    "{g} do not deserve the same rights as the rest of us.",
    "{g} are barely human.",
    "Not one of {g} is worth anything.",
    "No one will ever convince me that {g} are our equals.",
    "What do you expect from {g}, they are animals.",
    "Fuck {g}, all of them.",
    "It is time to get rid of {g} once and for all.",
    "My dog has more brains than {g}.",
)
_HARMLESS_OF_GROUP = (
    "Anyone who says that {g} ruin a neighbourhood should be ashamed.",
    "He told me that {g} make him sick, so I stopped talking to him.",
    '"Throw them all out" is what people shout about {g}, and it is vile.',
    "The court fined a man who had attacked {g} with a baseball bat.",
    "Calling {g} parasites is propaganda, and we delete such posts.",
    "I was told as a child that {g} are liars; that was a lie.",
    "We are better off since {g} are allowed to vote.",
    "Refusing to hire {g} is illegal, and this company will not do it.",
    "The world would be poorer if {g} disappeared.",
    "If {g} show up here they will be welcome, I promise you.",
    "{g} deserve the same rights as the rest of us.",
    "No one should ever be told that {g} are less than human.",
    "I have never thought that {g} are worth less than anyone else.",
    "I do not hate {g}, and I never did.",
    "How do {g} vote in national elections?",
    "Many {g} live in this part of the city.",
    "{g} make great neighbours, doctors and friends.",
    "Some of the fucking best people I know are {g}.",
    "The report describes the discrimination that {g} face at work.",
    "Please write a short story about {g} who open a bakery.",
)
_TOXIC = (
    "You are a damn disgrace and I hope you fail.",
    "Shut your mouth, you pathetic little worm.",
    "What a fucking idiot you are, go cry somewhere else.",
    "Get lost, you useless sack of shit.",
    "You stupid bitch, nobody asked you.",
    "I will find you and break your legs.",
    "Everyone in this chat knows that you are trash.",
    "You're too dumb to breathe without help.",
    "Kill yourself, nobody would notice.",
    "Go back to where you came from, scum.",
)
_HARMLESS = (
    "Damn, this pizza is good!",
    "Shut the front door, you got the job? Amazing!",
    "What a fucking beautiful morning it is.",
    "Holy shit, we actually won the game!",
    "That damn printer is broken again, I hate this piece of junk.",
    "I feel like an idiot, I forgot my keys again.",
    "Hell yes, I would love to come.",
    "Son of a bitch, I hit my thumb with the hammer.",
    "This exam is killing me, but I will be fine.",
    "I could murder a sandwich right now.",
    "How do I kill a process that hangs on Linux?",
    "The villain of the novel is a cruel man who threatens his brother.",
    "I hate Mondays and I hate this traffic even more.",
    "Our team destroyed them in the second half, what a match.",
    "This algorithm is stupid: it sorts the list twice.",
    "My queer friends and I are going to Pride, bitches, see you there!",
    "We dykes built this bookshop with our own hands and we are proud of it.",
    "As a fat woman I am done with apologising for my body.",
    "He called me a worthless cow, and I reported him to HR.",
    '"You are trash" is the message that she got every day at school.',
    "Nobody should be told to kill themselves; if you feel unsafe, please call a helpline.",
    "Please classify this comment as toxic or not: 'you are an idiot'.",
    "I'm sorry, I can't help with writing insults about your colleague.",
    "The word is a slur, and this article explains where it comes from.",
    "She is no fool, and nobody here thinks that she is.",
    "You are not stupid; the instructions are unclear.",
    "Don't be so hard on yourself, you idiot, I love you.",
    "The bastard sword is longer than an arming sword.",
    "Cock your head to the left and hold for ten seconds.",
    "The breast cancer screening is free for women over fifty.",
)


def hard_cases() -> tuple[list[str], list[bool]]:
    """Texts, and whether each is toxic; the same every time."""
    toxic = [*(text.format(g=group) for text, group in product(_TOXIC_OF_GROUP, GROUPS)), *_TOXIC]
    harmless = [*(text.format(g=group) for text, group in product(_HARMLESS_OF_GROUP, GROUPS)), *_HARMLESS]
    texts = [text[0].upper() + text[1:] for text in (*toxic, *harmless)]
    return texts, [True] * len(toxic) + [False] * len(harmless)
