//! Text to a graph.

use super::data::{MadeZeros, read_data};
use super::lex::{Lexer, Token};
use super::number::{integer, is_float, is_integer, read_float};
use crate::{
    Attribute, DType, Graph, Node, Operator, Port, Quantization, Tensor, TensorId, TensorKind,
    TensorType,
};
use kinglet_diag::{Diagnostic, Failure, code};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Refused operators are gathered up to this many.
const MAX_REFUSED: usize = 50;

/// Why there is no such operator, or not with these attributes: one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuildable {
    /// What is wrong.
    pub why: String,
    /// What to do about it, where there is something.
    pub help: Option<String>,
}

/// Reads a graph. `build` makes an operator from its name and attributes.
///
/// # Errors
/// The first fault of the syntax (`K0301`), of an id (`K0302`) or a number (`K0303`); else every
/// operator that `build` refuses (`K0304`). Each names its line and column.
pub fn parse<O: ?Sized + Operator>(
    source: &str,
    mut build: impl FnMut(&str, Vec<(String, Attribute)>) -> Result<Arc<O>, Unbuildable>,
) -> Result<Graph<O>, Failure> {
    let mut parser = Parser {
        lexer: Lexer::new(source)?,
        build: &mut build,
        name: String::new(),
        description: String::new(),
        tensors: BTreeMap::new(),
        uses: Vec::new(),
        nodes: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        made: MadeZeros::default(),
        refused: Vec::new(),
    };
    parser.graph()?;
    parser.finish()
}

/// Makes an operator from its name and attributes.
type Build<'b, O> =
    &'b mut dyn FnMut(&str, Vec<(String, Attribute)>) -> Result<Arc<O>, Unbuildable>;

struct Parser<'s, 'b, O: ?Sized> {
    lexer: Lexer<'s>,
    build: Build<'b, O>,
    name: String,
    description: String,
    /// By number.
    tensors: BTreeMap<u32, Tensor>,
    /// Every number that stands somewhere, and where.
    uses: Vec<(u32, usize)>,
    /// Nodes, and the name they have in the text.
    nodes: Vec<(Node<O>, Option<String>)>,
    inputs: Vec<(Port, bool)>,
    outputs: Vec<(Port, bool)>,
    made: MadeZeros,
    refused: Vec<Diagnostic>,
}

/// What may stand in an output's place.
enum Output {
    Declared(u32, Box<Tensor>),
    Used(u32),
}

impl<O: ?Sized + Operator> Parser<'_, '_, O> {
    fn graph(&mut self) -> Result<(), Failure> {
        if !self.lexer.accept_word("graph")? {
            return Err(self.lexer.unexpected("graph \"name\""));
        }
        self.name = self.text("the graph's name in quotes")?;
        while *self.lexer.peek() != Token::End {
            self.statement()?;
        }
        Ok(())
    }

    fn statement(&mut self) -> Result<(), Failure> {
        match *self.lexer.peek() {
            Token::Word("description") => {
                self.lexer.next()?;
                self.description = self.text("the description in quotes")?;
                Ok(())
            }
            Token::Word("input") => {
                let port = self.port()?;
                self.inputs.push(port);
                Ok(())
            }
            Token::Word("output") => {
                let port = self.port()?;
                self.outputs.push(port);
                Ok(())
            }
            Token::Word(word) if number_of(word).is_some() => self.tensor_or_node(),
            Token::Word(word) if is_name(word) => self.node(Vec::new()),
            _ => Err(self.lexer.unexpected("a tensor, a node, input, output or description")),
        }
    }

    fn text(&mut self, what: &str) -> Result<String, Failure> {
        let text = self.lexer.accept_text()?;
        text.ok_or_else(|| self.lexer.unexpected(what))
    }

    /// Takes `t3`.
    fn id(&mut self) -> Result<u32, Failure> {
        let at = self.lexer.at();
        let number = match self.lexer.peek() {
            Token::Word(word) => number_of(word),
            _ => None,
        };
        let number = number.ok_or_else(|| self.lexer.unexpected("a tensor such as t3"))?;
        self.lexer.next()?;
        self.uses.push((number, at));
        Ok(number)
    }

    fn used(&mut self) -> Result<TensorId, Failure> {
        Ok(tensor_id(self.id()?))
    }

    /// Takes `@3` if it is there.
    fn origin(&mut self) -> Result<Option<u32>, Failure> {
        if !self.lexer.accept('@')? {
            return Ok(None);
        }
        integer(&mut self.lexer, "an index").map(Some)
    }

    /// A port, and whether it has a name of its own.
    fn port(&mut self) -> Result<(Port, bool), Failure> {
        self.lexer.next()?;
        let tensor = self.used()?;
        let name = self.lexer.accept_text()?;
        let labels = if self.lexer.accept_word("labels")? {
            self.lexer.list(|lexer| match lexer.accept_text()? {
                Some(text) => Ok(text),
                None => Err(lexer.unexpected("a label in quotes")),
            })?
        } else {
            Vec::new()
        };
        let is_named = name.is_some();
        Ok((Port { name: name.unwrap_or_default(), tensor, labels }, is_named))
    }

    fn tensor_or_node(&mut self) -> Result<(), Failure> {
        let mut outputs = Vec::new();
        loop {
            outputs.push(self.output()?);
            if !self.lexer.accept(',')? {
                break;
            }
        }
        let is_node = self.lexer.accept('=')?;
        let data_kind = match *self.lexer.peek() {
            Token::Word("constant") if is_node => Some(true),
            Token::Word("state") if is_node => Some(false),
            _ => None,
        };
        match (outputs.as_mut_slice(), is_node, data_kind) {
            ([Output::Declared(_, tensor)], true, Some(is_constant)) => {
                self.lexer.next()?;
                let data = read_data(&mut self.lexer, &tensor.ty, &mut self.made)?;
                tensor.kind =
                    if is_constant { TensorKind::Constant(data) } else { TensorKind::State(data) };
                self.declare(outputs)?;
                Ok(())
            }
            (_, true, None) => {
                let outputs = self.declare(outputs)?;
                self.node(outputs)
            }
            ([Output::Declared(..)], false, _) => {
                self.declare(outputs)?;
                Ok(())
            }
            (_, true, Some(_)) => Err(self.lexer.unexpected("an operator")),
            (_, false, _) => Err(self.lexer.unexpected("'='")),
        }
    }

    fn output(&mut self) -> Result<Output, Failure> {
        let number = self.id()?;
        if !self.lexer.accept(':')? {
            return Ok(Output::Used(number));
        }
        let at = self.lexer.at();
        let word = self.lexer.word("an element type")?;
        let Some(dtype) = DType::by_name(word) else {
            let message = format!("{} is not an element type", Token::Word(word).describe());
            return Err(self.lexer.error(code::TEXT_SYNTAX, at, message));
        };
        let dims = self.lexer.list(|lexer| {
            let is_free = lexer.accept('?')?;
            Ok((integer::<usize>(lexer, "a length")?, is_free))
        })?;
        let free_axes = dims.iter().enumerate().filter(|(_, (_, is_free))| *is_free);
        let free_axes = free_axes.map(|(axis, _)| axis).collect();
        let shape: Vec<_> = dims.iter().map(|(dim, _)| *dim).collect();
        let quantization =
            if self.lexer.accept_word("q")? { Some(self.quantization()?) } else { None };
        let name = self.lexer.accept_text()?.unwrap_or_default();
        let origin = self.origin()?;
        let ty = TensorType::new(dtype, shape);
        let tensor = Tensor { name, ty, quantization, kind: TensorKind::Value, origin, free_axes };
        Ok(Output::Declared(number, Box::new(tensor)))
    }

    /// Takes the declarations into the graph; gives all ids.
    fn declare(&mut self, outputs: Vec<Output>) -> Result<Vec<TensorId>, Failure> {
        let mut ids = Vec::with_capacity(outputs.len());
        for output in outputs {
            let (number, tensor) = match output {
                Output::Used(number) => (number, None),
                Output::Declared(number, tensor) => (number, Some(tensor)),
            };
            ids.push(tensor_id(number));
            if tensor.is_some_and(|tensor| self.tensors.insert(number, *tensor).is_some()) {
                let message = format!("t{number} is declared twice");
                let diagnostic = self.lexer.diagnostic(code::TEXT_TENSOR, self.lexer.at(), message);
                return Err(diagnostic.help("give each tensor a number of its own").into());
            }
        }
        Ok(ids)
    }

    fn quantization(&mut self) -> Result<Quantization, Failure> {
        self.lexer.expect('(')?;
        let scales = if *self.lexer.peek() == Token::Symbol('[') {
            self.lexer.list(read_float)?
        } else {
            vec![read_float(&mut self.lexer)?]
        };
        self.lexer.expect(',')?;
        let zero_points = if *self.lexer.peek() == Token::Symbol('[') {
            self.lexer.list(|lexer| integer(lexer, "i64"))?
        } else {
            vec![integer(&mut self.lexer, "i64")?; scales.len()]
        };
        let mut axis = 0;
        if self.lexer.accept(',')? {
            if !self.lexer.accept_word("axis")? {
                return Err(self.lexer.unexpected("axis"));
            }
            axis = integer(&mut self.lexer, "an axis")?;
        }
        self.lexer.expect(')')?;
        Ok(Quantization { scales, zero_points, axis })
    }

    fn node(&mut self, outputs: Vec<TensorId>) -> Result<(), Failure> {
        let at = self.lexer.at();
        let operator = match self.lexer.peek() {
            Token::Word(word) if is_name(word) => *word,
            _ => return Err(self.lexer.unexpected("an operator")),
        };
        self.lexer.next()?;
        let inputs = self.arguments()?;
        let attributes = self.attributes()?;
        let mut name = None;
        let mut origin = None;
        if self.lexer.accept_word("node")? {
            name = self.lexer.accept_text()?;
            origin = self.origin()?;
        }
        match (self.build)(operator, attributes) {
            Ok(op) => {
                let node = Node { op, inputs, outputs, name: String::new(), origin };
                self.nodes.push((node, name));
                Ok(())
            }
            Err(refused) => {
                let mut diagnostic = self.lexer.diagnostic(code::TEXT_OPERATOR, at, refused.why);
                diagnostic.help = refused.help.or_else(|| {
                    Some("docs/operators.md lists the operators and their attributes".to_owned())
                });
                self.refused.push(diagnostic);
                if self.refused.len() < MAX_REFUSED {
                    Ok(())
                } else {
                    Err(Failure::new(std::mem::take(&mut self.refused)))
                }
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Option<TensorId>>, Failure> {
        self.lexer.expect('(')?;
        let mut arguments = Vec::new();
        if self.lexer.accept(')')? {
            return Ok(arguments);
        }
        loop {
            let absent = self.lexer.accept_word("none")?;
            arguments.push(if absent { None } else { Some(self.used()?) });
            if !self.lexer.accept(',')? {
                break;
            }
        }
        self.lexer.expect(')')?;
        Ok(arguments)
    }

    fn attributes(&mut self) -> Result<Vec<(String, Attribute)>, Failure> {
        let mut attributes = Vec::new();
        let mut names = BTreeSet::new();
        if !self.lexer.accept('{')? || self.lexer.accept('}')? {
            return Ok(attributes);
        }
        loop {
            let at = self.lexer.at();
            let name = self.lexer.word("an attribute's name")?;
            if !is_name(name) || !names.insert(name) {
                let message = if is_name(name) {
                    format!("the attribute {name} is given twice")
                } else {
                    format!("expected an attribute's name, found {}", Token::Word(name).describe())
                };
                return Err(self.lexer.error(code::TEXT_SYNTAX, at, message));
            }
            self.lexer.expect('=')?;
            attributes.push((name.to_owned(), self.value()?));
            if !self.lexer.accept(',')? {
                break;
            }
        }
        self.lexer.expect('}')?;
        Ok(attributes)
    }

    fn value(&mut self) -> Result<Attribute, Failure> {
        const EXPECTED: &str = "a number, true, false, a word, a text in quotes or a list";
        if let Some(text) = self.lexer.accept_text()? {
            return Ok(Attribute::Text(text));
        }
        match *self.lexer.peek() {
            Token::Word("true") => self.word(Attribute::Bool(true)),
            Token::Word("false") => self.word(Attribute::Bool(false)),
            Token::Word("f32") => {
                self.lexer.next()?;
                if !self.lexer.accept('[')? {
                    return Ok(Attribute::Word("f32".to_owned()));
                }
                self.lexer.expect(']')?;
                Ok(Attribute::Floats(Vec::new()))
            }
            Token::Word(word) if is_integer(word) => {
                integer(&mut self.lexer, "i64").map(Attribute::Int)
            }
            Token::Word(word) if is_float(word) => {
                read_float(&mut self.lexer).map(Attribute::Float)
            }
            Token::Word(word) if is_name(word) => self.word(Attribute::Word(word.to_owned())),
            Token::Symbol('[') => self.value_list(),
            _ => Err(self.lexer.unexpected(EXPECTED)),
        }
    }

    fn word(&mut self, value: Attribute) -> Result<Attribute, Failure> {
        self.lexer.next()?;
        Ok(value)
    }

    /// A list of whole numbers, or of floats when its first element is one.
    fn value_list(&mut self) -> Result<Attribute, Failure> {
        let mut is_floats = false;
        let mut ints = Vec::new();
        let mut floats = Vec::new();
        let mut is_first = true;
        self.lexer.list(|lexer| {
            if std::mem::take(&mut is_first) {
                is_floats = matches!(lexer.peek(), Token::Word(word) if is_float(word));
            }
            if is_floats {
                floats.push(read_float(lexer)?);
            } else {
                ints.push(integer(lexer, "i64")?);
            }
            Ok(())
        })?;
        Ok(if is_floats { Attribute::Floats(floats) } else { Attribute::Ints(ints) })
    }

    fn finish(mut self) -> Result<Graph<O>, Failure> {
        for &(number, at) in &self.uses {
            if !self.tensors.contains_key(&number) {
                let message = format!("t{number} is not declared");
                let diagnostic = self.lexer.diagnostic(code::TEXT_TENSOR, at, message);
                return Err(diagnostic.help("declare it, as in t3: i8[1,4]").into());
            }
        }
        if let Some((number, missing)) =
            self.tensors.keys().zip(0u32..).find(|(number, place)| *number != place)
        {
            let message = format!("t{number} is declared, but t{missing} is not");
            let diagnostic = self.lexer.diagnostic(code::TEXT_TENSOR, self.lexer.at(), message);
            return Err(diagnostic.help("number the tensors from t0 on without a gap").into());
        }
        if !self.refused.is_empty() {
            return Err(Failure::new(self.refused));
        }
        let tensors: Vec<_> = std::mem::take(&mut self.tensors).into_values().collect();
        let name_of =
            |id: TensorId| tensors.get(id.index()).map(|t| t.name.clone()).unwrap_or_default();
        let named = |(mut port, is_named): (Port, bool)| {
            if !is_named {
                port.name = name_of(port.tensor);
            }
            port
        };
        let inputs = self.inputs.into_iter().map(named).collect();
        let outputs = self.outputs.into_iter().map(named).collect();
        let nodes = self.nodes.into_iter().map(|(mut node, name)| {
            let usual = || node.outputs.first().map(|&id| name_of(id)).unwrap_or_default();
            node.name = name.unwrap_or_else(usual);
            node
        });
        let nodes = nodes.collect();
        let Self { name, description, .. } = self;
        Ok(Graph { name, description, tensors, nodes, inputs, outputs })
    }
}

fn tensor_id(number: u32) -> TensorId {
    TensorId::new(usize::try_from(number).unwrap_or(usize::MAX))
}

/// The number in `t3`; written as it is printed, without zeros in front.
fn number_of(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('t').filter(|digits| is_integer(digits))?;
    let number: u32 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// Whether a word can be the name of an operator or attribute.
fn is_name(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
